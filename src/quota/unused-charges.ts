// Gives back what callers have charged ahead of need a moment ago and not used.

import type { LimitCharge, LimitRule } from '../adapter-kit/limits.ts'
import { MOST_USABLE_MS } from '../adapter-kit/spendable.ts'
import { periodAt } from './algorithms/calendar.ts'
import type { WindowCharge, WindowOutcome } from './charge.ts'
import { stillUsed } from './lease-bounds.ts'

/** How old what is given back may be: as long as it may have been used, and the way here. */
const OLDEST_MS = 2 * MOST_USABLE_MS

type Settle = (
  charges: readonly WindowCharge[],
) => readonly (WindowOutcome | undefined)[] | Promise<readonly (WindowOutcome | undefined)[]>

/**
 * Gives back as much as surely counts in the present window, and of buckets what has not been refilled since: what was charged in
 * the window before would be granted twice in this one.
 * @param charges with amounts below 0
 * @param settle charges each by itself. Rejects with it.
 */
export async function giveBackUnused(charges: readonly LimitCharge[], settle: Settle): Promise<void> {
  const counted = charges.filter(({ rule }) => rule.algorithm !== 'concurrency')
  const looks = await settle(counted.map((charge) => ({ ...charge, amount: 0 })))
  const backs = counted.flatMap((charge, index): WindowCharge[] => {
    const look = looks[index]
    const amount = look === undefined ? 0 : returnable(charge.rule, -charge.amount, look)
    return look === undefined || amount <= 0 ? [] : [{ ...charge, amount: -amount, window: look.window }]
  })
  if (backs.length > 0) await settle(backs)
}

function returnable(rule: LimitRule, amount: number, { resetMs, window }: WindowOutcome): number {
  if (resetMs <= 0) return 0
  switch (rule.algorithm) {
    case 'gcra':
    case 'tokenBucket':
      return Math.floor(stillUsed(rule, amount, OLDEST_MS))
    case 'fixedWindow':
      return rule.windowMs - resetMs >= OLDEST_MS ? amount : 0
    case 'calendarWindow':
      return periodAt(rule.unit, window).end - window - resetMs >= OLDEST_MS ? amount : 0
    // What is charged in a window or bucket counts for a window longer; where less is left, nothing was charged in this one.
    case 'slidingWindow':
      return isOld(rule.windowMs, resetMs - rule.windowMs) ? amount : 0
    case 'rollingWindow':
      return isOld(rule.bucketMs, resetMs - rule.windowMs) ? amount : 0
    default:
      return amount
  }
}

function isOld(lengthMs: number, leftMs: number): boolean {
  return leftMs > 0 && lengthMs - leftMs >= OLDEST_MS
}
