import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConcurrencyLimit } from '../../src/policy/concurrency-limit.ts'
import { RetryBudget } from '../../src/policy/retry-budget.ts'
import { FakeClock } from '../helpers/clock.ts'

function feed(limit: ConcurrencyLimit, count: number, rtt: (inFlight: number) => number): void {
  for (let i = 0; i < count; i++) limit.sample(rtt(limit.current), limit.current)
}

describe('the concurrency limit', () => {
  it('grows while latency stays flat, up to its maximum', () => {
    const limit = new ConcurrencyLimit({ initial: 5, max: 50 })
    feed(limit, 500, () => 10)
    expect(limit.current).toBe(50)
  })

  it('settles near what a backend with a fixed capacity can take', () => {
    const limit = new ConcurrencyLimit({ initial: 5, max: 1_000 })
    // Ten places of 10 ms each: beyond them calls queue, and latency grows with the queue.
    feed(limit, 2_000, (inFlight) => 10 * Math.max(1, inFlight / 10))
    expect(limit.current).toBeGreaterThanOrEqual(8)
    expect(limit.current).toBeLessThan(100)
  })

  it('does not grow while it is not made use of', () => {
    const limit = new ConcurrencyLimit({ initial: 20 })
    for (let i = 0; i < 100; i++) limit.sample(10, 3)
    expect(limit.current).toBe(20)
  })

  it('shrinks by a tenth with each drop, and never below one', () => {
    const limit = new ConcurrencyLimit({ initial: 20 })
    limit.drop()
    expect(limit.current).toBe(18)
    for (let i = 0; i < 100; i++) limit.drop()
    expect(limit.current).toBe(1)
  })

  it('stays within its bounds whatever happens', () => {
    const event = fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), fc.nat(50), (events, inFlight) => {
        const limit = new ConcurrencyLimit({ initial: 10, min: 2, max: 40 })
        for (const rtt of events) {
          if (rtt === undefined) limit.drop()
          else limit.sample(rtt, inFlight)
        }
        expect(limit.current).toBeGreaterThanOrEqual(2)
        expect(limit.current).toBeLessThanOrEqual(40)
      }),
    )
  })
})

describe('the retry budget', () => {
  it('allows a fifth of the calls, or thirty in ten seconds', async () => {
    const clock = new FakeClock()
    const budget = new RetryBudget(clock)
    const spend = () => {
      let taken = 0
      while (budget.take()) taken += 1
      return taken
    }
    expect(spend()).toBe(30)
    for (let i = 0; i < 500; i++) budget.call()
    expect(spend()).toBe(70)
    await clock.advance(10_000)
    expect(spend()).toBe(30)
  })
})
