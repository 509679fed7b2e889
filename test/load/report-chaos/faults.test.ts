import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../load/random.ts'
import { EACH_ONCE, EACH_ONCE_MS, type Fault, schedule } from '../../../load/report-chaos/faults.ts'

const PACE = { durationMs: 60_000, calmMs: 4_000, longestMs: 4_000 }

function kindsOf(faults: readonly Fault[]): ReadonlySet<string> {
  return new Set(faults.map(({ target, kind }) => `${target} ${kind}`))
}

describe('the schedule of a chaos run', () => {
  it('is the same for the same seed, and ends with the run', () => {
    const faults = schedule(PACE, seededRandom(7))
    expect(schedule(PACE, seededRandom(7))).toEqual(faults)
    expect(schedule(PACE, seededRandom(8))).not.toEqual(faults)
    expect(faults.every(({ at, forMs }) => at >= 0 && at + forMs <= PACE.durationMs)).toBe(true)
  })

  it('has every kind of fault, and no two of one target at once', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const faults = schedule(PACE, seededRandom(seed))
      expect([seed, kindsOf(faults).size]).toEqual([seed, 12])
      for (const own of Map.groupBy(faults, ({ target }) => target).values()) {
        const overlap = own.some(({ at }, n) => n > 0 && at < (own[n - 1]?.at ?? 0) + (own[n - 1]?.forMs ?? 0))
        expect(overlap).toBe(false)
      }
    }
  })

  it('that is fixed has every kind too', () => {
    expect(kindsOf(EACH_ONCE).size).toBe(12)
    expect(EACH_ONCE.every(({ at, forMs }) => at + forMs < EACH_ONCE_MS)).toBe(true)
  })
})
