// For how long what was charged of a limit may be spent later.

import type { LimitOutcome, LimitRule } from './limits.ts'

/** The longest that anything charged may wait to be spent: then it is given back. */
export const MOST_USABLE_MS = 1_000

/**
 * For how long what was charged may be spent, in ms: within the window, bucket or step in which it was charged. So the spent
 * amounts of each are at most those charged, and what is granted fits the limit as exactly as the charges did. A bucket that
 * refills all the time has no such bounds.
 */
export function spendableMs(rule: LimitRule, { resetMs, left }: Pick<LimitOutcome, 'resetMs' | 'left'>): number {
  // Redis rounds up.
  const ms = resetMs - 1
  switch (rule.algorithm) {
    case 'slidingWindow':
    case 'rollingWindow':
      return Math.min(MOST_USABLE_MS, ms - rule.windowMs)
    case 'tokenBucket': {
      const steps = Math.ceil((rule.burst - left) / rule.amount)
      return Math.min(MOST_USABLE_MS, ms - Math.max(0, steps - 1) * rule.windowMs)
    }
    case 'gcra':
      return MOST_USABLE_MS
    default:
      return Math.min(MOST_USABLE_MS, ms)
  }
}

/**
 * The same of Mixer's rolling windows: as short as its proxies' windows are long, a tenth of them. What is used late counts so much
 * shorter.
 */
export function usableOfWindow(windowMs: number): number {
  return Math.min(MOST_USABLE_MS, Math.floor(windowMs / 10))
}
