import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StoredAnswer } from '../../src/cache/answer-cache.ts'
import { PaidUses } from '../../src/client/paid-uses.ts'
import { FakeClock } from '../helpers/clock.ts'

const answer = (freshUntil: number, usesLeft: number) => ({ freshUntil, usesLeft }) as StoredAnswer

describe('uses that were paid for', () => {
  it('end when they were to, also where another answer has taken them over', async () => {
    const clock = new FakeClock()
    const paid = new PaidUses(clock)
    const returned: number[] = []
    const one = answer(1_000, 10)
    paid.watch(one, undefined, (uses) => returned.push(uses))
    await clock.advance(800)
    one.usesLeft -= 3
    const two = answer(1_800, 5)
    paid.watch(two, one, (uses) => returned.push(uses))
    expect([one.usesLeft, two.usesLeft]).toEqual([0, 12])
    two.usesLeft -= 2
    await clock.advance(200)
    expect([returned, two.usesLeft]).toEqual([[5], 5])
    await clock.advance(800)
    expect([returned, two.usesLeft, paid.size]).toEqual([[5, 5], 0, 0])
  })

  it('are each used or given back once, and none is used beyond its end', async () => {
    const step = fc.record({
      afterMs: fc.nat(400),
      uses: fc.nat(20),
      bought: fc.nat(15),
      lifeMs: fc.integer({ min: 1, max: 1_000 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const clock = new FakeClock()
        const paid = new PaidUses(clock)
        let current = answer(0, 0)
        let balance = 0
        const lots: { readonly until: number; readonly uses: number }[] = []
        const giveBack = (uses: number) => {
          balance -= uses
        }
        for (const { afterMs, uses, bought, lifeMs } of steps) {
          await clock.advance(afterMs)
          const now = clock.monotonic()
          const alive = lots.filter(({ until }) => until > now).reduce((sum, lot) => sum + lot.uses, 0)
          expect(current.usesLeft).toBeLessThanOrEqual(alive)
          const used = Math.min(uses, current.usesLeft)
          current.usesLeft -= used
          balance -= used
          if (bought === 0) continue
          const next = answer(now + lifeMs, bought)
          balance += bought
          lots.push({ until: now + lifeMs, uses: bought })
          paid.watch(next, current, giveBack)
          current = next
          expect(current.usesLeft).toBe(balance)
        }
        paid.close()
        expect([balance, current.usesLeft, paid.size, clock.pending]).toEqual([0, 0, 0, 0])
      }),
    )
  })
})
