// What a process counts of a stage, and how long its checks took.

import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { bucketOf, quantile } from '../../src/rollout/latency-buckets.ts'
import { type CountedCheck, StageCounters, windowMsOf } from '../../src/rollout/stage-counters.ts'
import { USUAL_PACE } from '../../src/rollout/stages.ts'
import { NO_ROLLOUT } from '../../src/rollout/state.ts'
import { transition } from '../../src/rollout/transition.ts'
import { FakeClock } from '../helpers/clock.ts'
import { idOf } from './support.ts'

let clock: FakeClock
let counters: StageCounters

const check = (more: Partial<CountedCheck> = {}): CountedCheck => ({
  outcome: 'allow',
  isUnknown: false,
  us: 100,
  ...more,
})

beforeEach(() => {
  clock = new FakeClock()
  counters = new StageCounters(clock)
  counters.enter('s', 'v')
})

describe('the counters of a stage', () => {
  it('add up what became of checks', () => {
    for (const one of [
      check(),
      check({ outcome: 'deny', rule: 'a.ns' }),
      check({ outcome: 'deny', rule: 'a.ns' }),
      check({ outcome: 'error', isUnknown: true }),
      check({ outcome: 'deny' }),
    ])
      counters.count(one)
    expect(counters.counters()).toMatchObject({
      checks: 5,
      errors: 1,
      unknowns: 1,
      denials: 3,
      denialsBy: { 'a.ns': 2 },
    })
  })

  it('begin at zero with another stage or version, and with nothing else', () => {
    for (const [stage, version, left] of [
      ['s', 'v', 1],
      ['s2', 'v', 0],
      ['s2', 'v2', 0],
    ] as const) {
      counters.enter('s', 'v')
      counters.count(check())
      counters.enter(stage, version)
      expect(counters.counters().checks).toBe(left)
      counters.enter('none', undefined)
    }
  })

  it('name the rules that deny most', () => {
    for (let n = 0; n < 1_000; n++) counters.count(check({ outcome: 'deny', rule: `r${n}.ns` }))
    for (let n = 0; n < 3; n++) counters.count(check({ outcome: 'deny', rule: 'r400.ns' }))
    const { denials, denialsBy } = counters.counters()
    expect([denials, Object.keys(denialsBy).length, denialsBy['r400.ns']]).toEqual([1_003, 50, 4])
  })

  it('keep the median of each window in which something was asked', async () => {
    for (const us of [100, 200, 400]) counters.count(check({ us }))
    await clock.advance(10_000)
    await clock.advance(10_000)
    counters.count(check({ us: 1_000 }))
    expect(counters.counters().medians).toHaveLength(1)
    await clock.advance(10_000)
    const [one = 0, other = 0] = counters.counters().medians
    expect([Math.abs(one / 200 - 1) < 0.2, Math.abs(other / 1_000 - 1) < 0.2]).toEqual([true, true])
    for (let n = 0; n < 100; n++) {
      counters.count(check())
      await clock.advance(10_000)
    }
    expect(counters.counters().medians).toHaveLength(60)
  })

  it('keep the slowest hundredth of windows in which enough was asked to tell it', async () => {
    const asked = async (checks: number, slow: number) => {
      for (let n = 0; n < checks; n++) counters.count(check({ us: n < slow ? 50_000 : 100 }))
      await clock.advance(10_000)
    }
    await asked(99, 99)
    await asked(1_000, 0)
    await asked(1_000, 20)
    const [one = 0, other = 0] = counters.counters().tails
    expect(counters.counters().tails).toHaveLength(2)
    expect([Math.abs(one / 100 - 1) < 0.2, Math.abs(other / 50_000 - 1) < 0.2]).toEqual([true, true])
  })

  it('have windows that a short stage has a dozen of', () => {
    const pace = { ...USUAL_PACE, stageMs: 2_400 }
    const published = transition(NO_ROLLOUT, {
      kind: 'publish',
      version: idOf('a'),
      id: 'x',
      pace,
      expectations: [],
      quarantined: undefined,
      again: false,
      at: 0,
      by: '',
    })
    expect('state' in published && windowMsOf(published.state)).toBe(200)
    expect(windowMsOf(NO_ROLLOUT)).toBe(10_000)
  })
})

describe('a quantile', () => {
  it('lies within a fifth of what it stands for', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 1, max: 1e7, noNaN: true }), { minLength: 1, maxLength: 200 }), (times) => {
        const counts: number[] = Array.from({ length: 96 }, () => 0)
        for (const us of times) counts[bucketOf(us)] = (counts[bucketOf(us)] ?? 0) + 1
        const sorted = times.toSorted((a, b) => a - b)
        const exact = sorted[Math.ceil(times.length / 2) - 1] ?? 0
        const ratio = (quantile(counts, 0.5) ?? 0) / exact
        expect(ratio).toBeGreaterThan(0.83)
        expect(ratio).toBeLessThan(1.2)
      }),
    )
    expect(quantile([], 0.5)).toBeUndefined()
    expect([bucketOf(0), bucketOf(-1), bucketOf(1e12)]).toEqual([0, 0, 95])
  })
})
