import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Histogram } from '../../../load/kit/histogram.ts'

/** Of every size alike. */
const micros = fc.double({ min: 0, max: 31, noNaN: true }).map((power) => Math.floor(2 ** power) - 1)

function histogramOf(values: Iterable<number>): Histogram {
  const histogram = new Histogram()
  for (const value of values) histogram.record(value)
  return histogram
}

describe('the histogram', () => {
  it('finds any quantile to within a bucket, never below the exact one', () => {
    fc.assert(
      fc.property(
        fc.array(micros, { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, share) => {
          const histogram = histogramOf(values)
          const sorted = values.toSorted((a, b) => a - b)
          const exact = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1] ?? 0
          expect(histogram.quantile(share)).toBeGreaterThanOrEqual(exact)
          expect(histogram.quantile(share)).toBeLessThanOrEqual(exact * (1 + 1 / 128))
          expect(histogram.max).toBe(sorted.at(-1))
          expect(histogram.mean).toBeCloseTo(values.reduce((sum, value) => sum + value) / values.length, 3)
        },
      ),
    )
  })

  it('travels as JSON, and adds up as if all had been recorded in one', () => {
    fc.assert(
      fc.property(fc.array(micros), fc.array(micros), (some, others) => {
        const sum = Histogram.of(JSON.parse(JSON.stringify(histogramOf(some))) as ReturnType<Histogram['toJSON']>)
        sum.add(histogramOf(others))
        expect(sum.toJSON()).toEqual(histogramOf([...some, ...others]).toJSON())
        expect(sum.count).toBe(some.length + others.length)
      }),
    )
  })

  it('has 0 for nothing, before and after it is cleared, and counts what is out of range at its ends', () => {
    const histogram = new Histogram()
    expect([histogram.quantile(0.99), histogram.mean, histogram.max]).toEqual([0, 0, 0])
    histogram.record(-5)
    histogram.record(1e12)
    expect([histogram.quantile(0), histogram.quantile(1)]).toEqual([0, 2 ** 32 - 1])
    histogram.clear()
    expect(histogram.toJSON()).toEqual({ buckets: [], sum: 0, max: 0 })
  })
})
