import { describe, expect, it } from 'vitest'
import { callFigures, idealCalls } from '../../load/backend-calls.ts'
import { recoveryFigures } from '../../load/availability/recovery.ts'
import { classify } from '../../load/availability/sample.ts'
import type { Outcome } from '../../load/driver.ts'
import { decisionOn, pathOf } from '../../load/oracle.ts'
import { seededRandom } from '../../load/random.ts'
import { failureShare, poissonUpper, quantiles, recombine } from '../../load/statistics.ts'

describe('statistics', () => {
  it('finds quantiles', () => {
    const values = Float64Array.from({ length: 100 }, (_, i) => 99 - i)
    expect(quantiles(values, 0, 0.5, 0.99, 1)).toEqual([0, 50, 99, 99])
    expect(quantiles(new Float64Array(0), 0.5)).toEqual([0])
  })

  it('bounds a Poisson mean as the exact tables do', () => {
    expect(poissonUpper(0)).toBe(3)
    expect(poissonUpper(1)).toBeCloseTo(4.74, 1)
    expect(poissonUpper(10)).toBeCloseTo(16.96, 1)
  })

  it('bounds a share more widely where failures come together in a few outages', () => {
    const even = Array.from({ length: 40 }, () => ({ requests: 100, failures: 5 }))
    const uneven = Array.from({ length: 40 }, (_, i) => ({ requests: 100, failures: i < 2 ? 100 : 0 }))
    const a = failureShare(even, seededRandom(1))
    const b = failureShare(uneven, seededRandom(1))
    expect(a.value).toBeCloseTo(b.value, 9)
    expect(a.upper).toBeLessThan(0.06)
    expect(b.upper).toBeGreaterThan(0.09)
  })

  it('never takes the absence of failures for certainty', () => {
    expect(failureShare([{ requests: 3_000, failures: 0 }], seededRandom(1))).toEqual({ value: 0, upper: 0.001 })
    expect(failureShare([], seededRandom(1)).upper).toBe(1)
  })

  it('recombines both states of a backend', () => {
    expect(recombine(1e-3, 1, 0)).toBeCloseTo(0.999, 12)
    expect(recombine(1e-3, 0.01, 0)).toBeCloseTo(0.999_99, 12)
  })
})

describe('backend calls', () => {
  it('are compared with one perfect cache', () => {
    expect(idealCalls([0, 10, 999, 1_000, 1_500, 2_500], 1_000)).toBe(3)
    const requests = new Map([['/a', Array.from({ length: 100 }, (_, i) => i * 50)]])
    const call = (at: number) => ['arm', '/a', at, 1] as const
    const once = callFigures([0, 1_000, 2_000, 3_000, 4_000].map(call), requests, 1_000)
    expect(once).toMatchObject({
      calls: 5,
      ideal: 5,
      callsPerIdeal: 1,
      hotKeys: 1,
      hotCallsPerLifetime: 1,
      duplicates: 0,
    })
    const twice = callFigures([0, 3, 1_000, 1_003, 2_000].map(call), requests, 1_000)
    expect(twice).toMatchObject({ duplicates: 2, hotCallsPerLifetime: 2 })
  })
})

describe('the availability sample', () => {
  const key = 1
  const right = decisionOn(pathOf(key))
  const outcome = (at: number, over: Partial<Outcome> = {}): Outcome => ({
    key,
    number: 0,
    at,
    latencyMs: 1,
    lateMs: 0,
    decision: right,
    tier: 'local',
    ageMs: 10,
    ...over,
  })
  const options = {
    outages: [{ from: 5_000, to: 6_000 }],
    warmUpMs: 0,
    warmMs: 60_000,
    maxAgeMs: 61_000,
    validityMs: 1_000,
  }

  it('tells warm keys from cold ones, and charges what fails around an outage to the outage', () => {
    const none = { decision: 'none', tier: 'backend', ageMs: 0 } as const
    const figures = classify(
      [
        outcome(100, none),
        outcome(200),
        outcome(4_800, none),
        outcome(5_100, none),
        outcome(5_200, { tier: 'stale', ageMs: 5_000 }),
        outcome(8_000, none),
        outcome(20_000),
      ],
      options,
    )
    expect(figures.cold).toEqual({ down: [{ requests: 0, failures: 0 }], up: { requests: 2, failures: 1 } })
    expect(figures.warm).toEqual({ down: [{ requests: 2, failures: 3 }], up: { requests: 1, failures: 0 } })
    expect(figures).toMatchObject({ wrong: 0, beyondAge: 0 })
  })

  it('finds wrong decisions and answers beyond their age', () => {
    const wrong = right === 'allow' ? 'deny' : 'allow'
    const figures = classify(
      [outcome(1, { decision: wrong }), outcome(2, { ageMs: 1_500 }), outcome(3, { tier: 'stale', ageMs: 61_500 })],
      options,
    )
    expect(figures).toMatchObject({ wrong: 1, beyondAge: 2, oldestMs: 61_500 })
  })
})

describe('the recovery', () => {
  it('is measured against the time before the outages', () => {
    const outages = [{ from: 10_000, to: 12_000 }]
    const steady = Array.from({ length: 100 }, (_, i) => i * 100)
    const burst = Array.from({ length: 50 }, (_, i) => 12_000 + i * 10)
    const after = Array.from({ length: 100 }, (_, i) => 12_500 + i * 100)
    const figures = recoveryFigures([...after, ...burst, ...steady], outages)
    expect(figures).toMatchObject({ steadyPerSecond: 10, peakPerSecond: 100, peakRatio: 10 })
    expect(figures.profile[3]).toBe(10)
  })
})
