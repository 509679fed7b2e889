// The tests that guards go by, against SciPy 1.17.1 and statsmodels 0.15.0.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mannWhitney } from '../../src/rollout/statistics/mann-whitney.ts'
import { exactMcNemar } from '../../src/rollout/statistics/mcnemar.ts'
import { upperTail, wilson } from '../../src/rollout/statistics/normal.ts'
import { logRatio, sprt } from '../../src/rollout/statistics/sprt.ts'

/** Relative to what is expected. */
const near = (value: number, expected: number, error = 1e-6) =>
  expect(Math.abs(value - expected)).toBeLessThanOrEqual(error * Math.abs(expected) + Number.MIN_VALUE)

describe('the exact McNemar test', () => {
  // scipy.stats.binomtest(min(b, c), b + c, 0.5).pvalue
  it.each([
    [0, 0, 1],
    [10, 0, 0.001953125],
    [1, 9, 0.021484375],
    [7, 12, 0.359283447265625],
    [150, 203, 0.005570182003011223],
    [3, 40, 3.0213413992896676e-9],
    [500, 500, 1],
    [12, 4, 0.076812744140625],
  ])('%i to %i', (one, other, expected) => near(exactMcNemar(one, other), expected, 1e-9))

  it('is the same either way, and stays a probability however many pairs there are', () => {
    fc.assert(
      fc.property(fc.nat(2_000_000), fc.nat(2_000), (one, other) => {
        const p = exactMcNemar(one, other)
        expect(p).toBe(exactMcNemar(other, one))
        expect(p).toBeGreaterThanOrEqual(0)
        expect(p).toBeLessThanOrEqual(1)
      }),
    )
  })
})

describe('the Mann–Whitney test', () => {
  // scipy.stats.mannwhitneyu(x, y, alternative='greater', method='asymptotic', use_continuity=True).pvalue
  it.each([
    [[1, 2, 3, 4, 5], [3, 4, 5, 6, 7], 0.9634301001705455],
    [[12, 15, 15, 18, 20, 22, 22], [10, 11, 12, 12, 15, 16], 0.01797370594357218],
    [[1.1, 2.2, 3.3], [1.1, 2.2, 3.3], 0.5902615116112394],
    [Array.from({ length: 8 }, () => 5), Array.from({ length: 9 }, () => 5), 1],
    [
      [120, 130, 125, 140, 128, 133, 129, 131, 127, 135, 126, 138],
      [110, 118, 112, 119, 121, 115, 117, 113, 111, 116, 114, 120],
      2.646125555157496e-5,
    ],
    [[1, 1, 1, 2, 2, 3], [2, 3, 3, 3, 4, 4, 4, 9], 0.9972745797989824],
    [[], [1, 2], 1],
  ])('%j over %j', (ones, others, expected) => near(mannWhitney(ones, others), expected))
})

describe('the normal distribution', () => {
  // scipy.stats.norm.sf(z)
  it.each([
    [-5, 0.9999997133484281],
    [-3.09, 0.9989992175233859],
    [-1, 0.8413447460685429],
    [0, 0.5],
    [0.5, 0.3085375387259869],
    [1.96, 0.024997895148220435],
    [4, 3.167124183311986e-5],
    [8, 6.22096057427174e-16],
  ])('lies above %d by', (z, expected) => near(upperTail(z), expected))

  // statsmodels' proportion_confint(hits, trials, alpha=2 * norm.sf(z), method='wilson')
  it.each([
    [0, 1000, 2, 0, 0.003984063745019924],
    [5, 1000, 2, 0.002102826071083538, 0.011841397036486186],
    [0, 7000, 3, 0, 0.0012840633471251253],
    [990, 1000, 2, 0.9814710860481198, 0.9946245314817607],
    [1000, 1000, 2, 0.9960159362549801, 1],
    [70, 7000, 2, 0.00788563405868023, 0.012674046124072483],
  ])('bounds the rate of %i in %i at %d', (hits, trials, z, low, high) => {
    const bounds = wilson(hits, trials, z)
    expect(bounds.low).toBeCloseTo(low, 12)
    expect(bounds.high).toBeCloseTo(high, 12)
    expect(wilson(0, 0, z)).toEqual({ low: 0, high: 1 })
  })
})

describe('the sequential test', () => {
  const options = { alpha: 0.002, beta: 0.05 }

  // scipy.stats.binom.logpmf(hits, trials, harmful) - binom.logpmf(hits, trials, harmless), against
  // log(0.95 / 0.002) = 6.163 and log(0.05 / 0.998) = -2.994
  it.each([
    [0, 331, 0.001, 0.01, -2.995495557092828, 'harmless'],
    [0, 330, 0.001, 0.01, -2.986445510275507, 'open'],
    [4, 324, 0.001, 0.01, 6.314393005602453, 'harmful'],
    [10, 1000, 0.001, 0.01, 14.06651376522173, 'harmful'],
    [50, 1000, 0.05, 0.0835, -8.463740127652308, 'harmless'],
    [20, 1000, 0.05, 0.025, 11.593033063996543, 'harmful'],
  ] as const)('%i in %i, %d or %d', (hits, trials, harmless, harmful, ratio, verdict) => {
    const asked = { hits, trials, harmless, harmful, ...options }
    near(logRatio(asked), ratio, 1e-7)
    expect(sprt(asked)).toBe(verdict)
  })
})
