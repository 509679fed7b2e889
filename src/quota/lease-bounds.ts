// What a node may hold of a limit ahead of need, for how long, and what time makes of it. A charge that is spent later than it
// was charged counts in the wrong place: these bounds keep it where no window sees more than the limit, and buckets, where that
// cannot be had, within the promised error.

import type { LimitCharge, LimitRule } from '../adapter-kit/limits.ts'
import type { WindowOutcome } from './charge.ts'

/** For how long demand is taken ahead. */
const AHEAD_MS = 100

/** A refusal is remembered at most for so long: somebody may give back. */
const CLOSED_MS = 100

/** What all nodes together may hold: the promised share of the limit, and of a bucket at most half of what it has room for. */
export function promised({ rule, accuracy = 0 }: LimitCharge): number {
  if (rule.algorithm === 'concurrency' || rule.algorithm === 'allocation') return 0
  return 'burst' in rule ? Math.min(accuracy * rule.amount, rule.burst / 2) : accuracy * rule.amount
}

/** For how long nobody asks again after a refusal, in ms: not before the answer may be another one. */
export function closedMs(retryAfterMs: number): number {
  return Math.min(CLOSED_MS, retryAfterMs)
}

/**
 * The same of a limit of which amounts are held: longer, so that there is something to take. A bucket must not fill up
 * meanwhile.
 */
export function pauseMs(rule: LimitRule): number {
  return rule.algorithm === 'gcra' ? closedMs((rule.burst / 2 / rule.amount) * rule.windowMs) : CLOSED_MS
}

/** For how much time demand is taken ahead, in ms. */
export function aheadMs(rule: LimitRule): number {
  if (rule.algorithm === 'rollingWindow') return Math.min(AHEAD_MS, rule.bucketMs)
  return 'windowMs' in rule ? Math.min(AHEAD_MS, rule.windowMs) : AHEAD_MS
}

/** What counts of a bucket `ms` after so much of it was used, if nobody charges; of windows nothing goes before they end. */
export function stillUsed(rule: LimitRule, used: number, ms: number): number {
  if (rule.algorithm === 'gcra') return Math.max(0, used - refilled(rule, ms))
  if (rule.algorithm === 'tokenBucket') return Math.max(0, used - Math.ceil(ms / rule.windowMs) * rule.amount)
  return used
}

/** What a bucket that refills all the time has got back after so many ms. */
export function refilled(rule: LimitRule, ms: number): number {
  return rule.algorithm === 'gcra' ? (ms * rule.amount) / rule.windowMs : 0
}

/** When something can be granted again where nothing is left, in ms; of most limits that hangs on the amount. */
export function reopensMs(rule: LimitRule, { resetMs }: WindowOutcome): number {
  return rule.algorithm === 'fixedWindow' || rule.algorithm === 'calendarWindow' ? resetMs : pauseMs(rule)
}

/** Whether what is given back still counts somewhere, after what was charged may no more be spent. */
export function countsOn({ algorithm }: LimitRule): boolean {
  return algorithm !== 'fixedWindow' && algorithm !== 'calendarWindow'
}
