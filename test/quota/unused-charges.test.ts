// What is given back of charges that were made ahead of need: whatever is used and given back, no window sees more than its limit.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LimitRule } from '../../src/adapter-kit/limits.ts'
import { spendableMs } from '../../src/adapter-kit/spendable.ts'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { FakeClock } from '../helpers/clock.ts'

const LIMIT = 40
const RULES: readonly LimitRule[] = [
  { algorithm: 'fixedWindow', amount: LIMIT, windowMs: 6_000, from: 'epoch' },
  { algorithm: 'fixedWindow', amount: LIMIT, windowMs: 6_000, from: 'firstCharge' },
  { algorithm: 'calendarWindow', amount: LIMIT, unit: 'minute' },
]

/** A caller that pays ahead, uses some of it in its time, and gives the rest back when that is over, or a little later. */
const pays = fc.record({
  waitMs: fc.nat({ max: 3_000 }),
  ahead: fc.integer({ min: 1, max: 20 }),
  used: fc.nat({ max: 20 }),
  afterMs: fc.nat({ max: 1_000 }),
  lateMs: fc.nat({ max: 900 }),
})

describe('what was charged ahead and not used', () => {
  it.each(RULES)('is given back so that each window grants its limit at most: $algorithm', async (rule) => {
    await fc.assert(
      fc.asyncProperty(fc.array(pays, { minLength: 1, maxLength: 40 }), async (given) => {
        const clock = new FakeClock()
        const limits = new MemoryLimits({ clock })
        const charge = (amount: number) => limits.charge([{ key: 'k', rule, amount }], { mode: 'each' })[0]
        const usedIn = new Map<number, number>()
        for (const { waitMs, ahead, used, afterMs, lateMs } of given) {
          await clock.advance(waitMs)
          const outcome = charge(ahead)
          if (outcome === undefined || outcome.granted === 0) continue
          const lifeMs = Math.max(0, spendableMs(rule, outcome))
          await clock.advance(Math.min(afterMs, lifeMs))
          const spent = Math.min(used, ahead)
          usedIn.set(outcome.window, (usedIn.get(outcome.window) ?? 0) + spent)
          await clock.advance(Math.max(0, lifeMs - afterMs) + lateMs)
          if (ahead > spent) await limits.giveBack([{ key: 'k', rule, amount: spent - ahead }])
        }
        for (const amount of usedIn.values()) expect(amount).toBeLessThanOrEqual(LIMIT)
      }),
      { numRuns: 200 },
    )
  })

  it.each<[string, LimitRule, number, number]>([
    [
      'all of it in a window that has lasted',
      { algorithm: 'fixedWindow', amount: 40, windowMs: 60_000, from: 'epoch' },
      10_000,
      40,
    ],
    [
      'nothing in a window that has just begun',
      { algorithm: 'fixedWindow', amount: 40, windowMs: 60_000, from: 'epoch' },
      500,
      30,
    ],
    ['all of it in a sliding window', { algorithm: 'slidingWindow', amount: 40, windowMs: 60_000 }, 10_000, 40],
    [
      'nothing in a sliding window that has just begun',
      { algorithm: 'slidingWindow', amount: 40, windowMs: 60_000 },
      500,
      30,
    ],
    [
      'all of it in a rolling window',
      { algorithm: 'rollingWindow', amount: 40, windowMs: 60_000, bucketMs: 6_000 },
      5_000,
      40,
    ],
    ['nothing of what has been refilled', { algorithm: 'gcra', amount: 40, windowMs: 4_000, burst: 40 }, 10_000, 30],
    ['the rest of what has been refilled', { algorithm: 'gcra', amount: 40, windowMs: 20_000, burst: 40 }, 10_000, 36],
    ['what is in use', { algorithm: 'allocation', amount: 40, expiryMs: 60_000 }, 10_000, 40],
  ])('is given back: %s', async (_, rule, atMs, left) => {
    const clock = new FakeClock()
    await clock.advance(60_000 - (clock.now() % 60_000) + atMs)
    const limits = new MemoryLimits({ clock })
    const charge = (amount: number) => limits.charge([{ key: 'k', rule, amount }], { mode: 'each' })[0]
    charge(10)
    await limits.giveBack([{ key: 'k', rule, amount: -10 }])
    expect(charge(0)?.left).toBe(left)
  })
})
