// Fixed windows, by length or by the calendar, and the sliding window that two counters make.

import type { Algorithm, Count, RuleOf } from './algorithm.ts'
import { wholePart } from './algorithm.ts'
import { periodAt } from './calendar.ts'

interface Window {
  readonly start: number
  readonly used: number
}

export const fixedWindow: Algorithm<RuleOf<'fixedWindow'>, Window> = {
  at(state, { windowMs, from }, now) {
    // After the clock was set back, the window goes on that has begun; one that is further ahead was another time's.
    if (state !== undefined && now < state.start + windowMs && state.start - now <= windowMs) return state
    return { start: from === 'epoch' ? Math.floor(now / windowMs) * windowMs : Math.floor(now), used: 0 }
  },
  count: (state, { amount, windowMs }, now) => countOf(state, amount, state.start + windowMs - now),
  charge,
}

export const calendarWindow: Algorithm<RuleOf<'calendarWindow'>, Window> = {
  at(state, { unit }, now) {
    const period = periodAt(unit, now)
    if (state !== undefined && state.start >= period.start && state.start <= period.end) return state
    return { start: period.start, used: 0 }
  },
  count: (state, { amount, unit }, now) => countOf(state, amount, periodAt(unit, state.start).end - now),
  charge,
}

interface Windows {
  /** Number of the window, since 1970. */
  readonly index: number
  readonly used: number
  /** Used in the window before. */
  readonly before: number
}

export const slidingWindow: Algorithm<RuleOf<'slidingWindow'>, Windows> = {
  at(state, { windowMs }, now) {
    const index = Math.floor(now / windowMs)
    if (state === undefined || state.index - index > 1) return { index, used: 0, before: 0 }
    if (state.index >= index) return state
    return { index, used: 0, before: state.index === index - 1 ? state.used : 0 }
  },
  count({ index, used, before }, { amount, windowMs }, now): Count {
    const start = index * windowMs
    const share = 1 - Math.max(0, now - start) / windowMs
    return {
      free: wholePart(amount - used - before * share),
      resetMs: used > 0 ? start + 2 * windowMs - now : before > 0 ? start + windowMs - now : 0,
      window: index,
      retryMs: (wanted) => {
        if (wanted > amount) return Number.POSITIVE_INFINITY
        if (wanted <= wholePart(amount - used - before * share)) return 0
        // When enough of one window has left: of the one before, or, once this one is over, of this one.
        const [from, old, rest] =
          used + wanted <= amount ? [start, before, amount - used - wanted] : [start + windowMs, used, amount - wanted]
        return from + (1 - rest / old) * windowMs - now
      },
    }
  },
  charge(state, _rule, amount, window) {
    const isNow = amount >= 0 && window === 0
    if (isNow || window === state.index) return { ...state, used: Math.max(0, state.used + amount) }
    return window === state.index - 1 ? { ...state, before: Math.max(0, state.before + amount) } : state
  },
}

function countOf({ start, used }: Window, amount: number, leftMs: number): Count {
  return {
    free: amount - used,
    resetMs: used === 0 ? 0 : leftMs,
    window: start,
    retryMs: (wanted) => (wanted > amount ? Number.POSITIVE_INFINITY : used + wanted <= amount ? 0 : leftMs),
  }
}

function charge(state: Window, _rule: unknown, amount: number, window: number): Window {
  if (window !== state.start && (amount < 0 || window !== 0)) return state
  return { start: state.start, used: Math.max(0, state.used + amount) }
}
