import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pace } from '../../../src/adapter-kit/exporter/pace.ts'
import { FakeClock } from '../../helpers/clock.ts'

function paceOf(most = 8, random = 0) {
  const clock = new FakeClock()
  const pace = new Pace(clock, () => random, most)
  /** A call that takes a millisecond. */
  const fail = async () => {
    const startedAt = clock.monotonic()
    await clock.advance(1)
    return pace.failed(startedAt)
  }
  return { clock, pace, fail }
}

describe('the pace of a backend', () => {
  it('is halved by a failure, once for all calls that were under way, and grows by one a round', async () => {
    const { clock, pace } = paceOf(8)
    expect(pace.concurrency).toBe(8)
    await clock.advance(5)
    for (let i = 0; i < 2; i++) expect(pace.failed(0)).toBe(0)
    expect(pace.concurrency).toBe(4)
    const grown = []
    for (let round = 0; round < 5; round++) {
      for (let calls = pace.concurrency; calls > 0; calls--) pace.answered()
      grown.push(pace.concurrency)
    }
    expect(grown).toEqual([4, 5, 6, 7, 8])
  })

  it('lets the backend rest after three failures in a row, longer each time, and probes with one call', async () => {
    const { pace, fail } = paceOf()
    const rests = []
    for (let i = 0; i < 9; i++) rests.push(await fail())
    expect(rests).toEqual([0, 0, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
    expect(pace.concurrency).toBe(1)
    pace.answered()
    expect([await fail(), await fail(), await fail()]).toEqual([0, 0, 1000])
  })

  it('leaves up to half of a rest to chance', async () => {
    const { fail } = paceOf(8, 1)
    for (let i = 0; i < 2; i++) await fail()
    expect(await fail()).toBe(500)
  })

  it('counts no call that was under way when the rest began', async () => {
    const { clock, pace, fail } = paceOf()
    const startedAt = clock.monotonic()
    for (let i = 0; i < 3; i++) await fail()
    expect(pace.failed(startedAt)).toBe(0)
    expect(await fail()).toBe(2000)
  })

  it('follows a new limit: down at once, up where it was at the old one', async () => {
    const { pace, fail } = paceOf(4)
    pace.most = 10
    expect(pace.concurrency).toBe(10)
    pace.most = 3
    expect(pace.concurrency).toBe(3)
    await fail()
    pace.most = 10
    expect(pace.concurrency).toBeLessThan(3)
  })

  it('never goes below one call or above the limit, nor rests beyond half a minute', async () => {
    const steps = fc.array(fc.constantFrom('answer', 'fail', 'later'), { maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20 }), steps, async (most, list) => {
        const { clock, pace, fail } = paceOf(most)
        for (const step of list) {
          if (step === 'answer') pace.answered()
          else if (step === 'later') await clock.advance(10)
          else expect(await fail()).toBeLessThanOrEqual(30_000)
          expect(pace.concurrency).toBeGreaterThanOrEqual(1)
          expect(pace.concurrency).toBeLessThanOrEqual(most)
        }
      }),
    )
  })
})
