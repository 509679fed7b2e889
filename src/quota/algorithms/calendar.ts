// Units of the calendar in UTC, which has no summer time.

import type { CalendarUnit } from '../../adapter-kit/limits.ts'

export interface Period {
  /** Milliseconds since the epoch. */
  readonly start: number
  /** When the next one starts. */
  readonly end: number
}

const MINUTE = 60_000
const DAY = 86_400_000
const FIXED = { minute: MINUTE, hour: 60 * MINUTE, day: DAY, week: 7 * DAY } as const
/** 1970 began on a Thursday. */
const FIRST_MONDAY = 4 * DAY

/** The unit that a moment lies in. */
export function periodAt(unit: CalendarUnit, now: number): Period {
  if (unit === 'month' || unit === 'year') {
    const date = new Date(now)
    const month = unit === 'year' ? 0 : date.getUTCMonth()
    const year = date.getUTCFullYear()
    return unit === 'year'
      ? { start: Date.UTC(year, 0), end: Date.UTC(year + 1, 0) }
      : { start: Date.UTC(year, month), end: Date.UTC(year, month + 1) }
  }
  const length = FIXED[unit]
  const offset = unit === 'week' ? FIRST_MONDAY : 0
  const start = Math.floor((now - offset) / length) * length + offset
  return { start, end: start + length }
}
