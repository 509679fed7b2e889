import { describe, expect, it } from 'vitest'
import { exactMisses, fingerprintOf, hitsOf } from '../../../load/curves/exact-curve.ts'
import { zipf } from '../../../load/eviction/traces.ts'
import { CURVE_MULTIPLES, CurveSampler } from '../../../src/cache/tuning/curve-sampler.ts'
import { missAt, missDifferences, standardError } from '../../../src/cache/tuning/curve.ts'

const FOREVER = Number.POSITIVE_INFINITY

describe.each(['answers', 'verdicts'] as const)('the curve of %s', (kind) => {
  it.each([0.8, 1, 1.2])('is a point of hit ratio off at most, on average over sizes, with Zipf %d', (exponent) => {
    const size = 5_000
    const trace = zipf(200_000, exponent, 3, 100_000)
    const exact = exactMisses(
      kind,
      trace,
      CURVE_MULTIPLES.map((multiple) => multiple * size),
    )
    const hits = hitsOf(kind, trace, size)
    const sampler = new CurveSampler({ kind, now: () => 0, rate: 0.05, bytes: size })
    for (const [at, key] of trace.entries()) {
      const print = fingerprintOf(key)
      if (hits[at] === 0) sampler.stored(print, 1, FOREVER, true, undefined)
      else if (sampler.found(print)) sampler.sampled(print, 1, FOREVER)
    }
    const { points, lookups } = sampler.curve()
    expect(lookups).toBe(trace.length)
    const errors = points.map(({ miss }, i) => Math.abs(miss - (exact[i] ?? 0)))
    expect(errors.reduce((one, two) => one + two, 0) / errors.length).toBeLessThan(0.01)
    // What samples of their own say differs, and not by much.
    for (const { replicas } of points) expect(standardError(replicas)).toBeLessThan(0.03)
  })
})

describe('a sampler', () => {
  const samplerOf = (now: () => number = () => 0) =>
    new CurveSampler({ kind: 'verdicts', now, rate: 1, bytes: 20, multiples: [0.5, 1, 4], mostBytes: 60 })

  it('knows nothing before it was asked', () => {
    expect(
      samplerOf()
        .curve()
        .points.map(({ bytes, miss }) => [bytes, miss]),
    ).toEqual([
      [10, 1],
      [20, 1],
      [60, 1],
    ])
  })

  it('looks at sizes around that of the cache, up to the largest', () => {
    const sampler = samplerOf()
    sampler.resize(100)
    expect(sampler.curve().points.map(({ bytes }) => bytes)).toEqual([50, 60])
  })

  it('takes what is renewed ahead of need for no look-up', () => {
    let now = 0
    const sampler = samplerOf(() => now)
    sampler.stored(1, 1, 10, true, undefined)
    now = 9
    sampler.stored(1, 1, 30, false, 10)
    expect(sampler.curve().lookups).toBe(1)
    now = 20
    // Every size has it still: it was renewed.
    sampler.found(1)
    sampler.sampled(1, 1, 99)
    expect(sampler.curve().points.map(({ miss }) => miss)).toEqual([0.5, 0.5, 0.5])
    now = 40
    sampler.stored(1, 1, 99, true, 30)
    expect(sampler.curve().points[0]?.miss).toBeCloseTo(2 / 3)
  })

  it('lets what is long ago count for less, and forgets what was kept when all is gone', () => {
    const sampler = samplerOf()
    for (let key = 0; key < 8; key++) sampler.stored(key, 1, FOREVER, true, undefined)
    sampler.fade(0.5)
    expect(sampler.curve().lookups).toBe(4)
    expect(sampler.entryBytes).toBeGreaterThan(0)
    sampler.cleared()
    expect(sampler.entryBytes).toBe(0)
  })
})

describe('a curve', () => {
  const curve = {
    lookups: 1,
    ratio: 1,
    points: [
      { bytes: 100, miss: 0.5, replicas: [0.4, 0.6] },
      { bytes: 200, miss: 0.3, replicas: [0.2, 0.4] },
    ],
  }

  it('is read between its points, below the first one and beyond the last', () => {
    expect([0, 50, 100, 150, 200, 900].map((bytes) => missAt(curve, bytes))).toEqual([1, 0.75, 0.5, 0.4, 0.3, 0.3])
    expect(missAt({ points: [], ratio: 1, lookups: 0 }, 5)).toBe(1)
  })

  it('is surer of a difference than of its points, where samples differ alike', () => {
    const differences = missDifferences(curve, 100, 200)
    expect(standardError(differences)).toBeCloseTo(0)
    expect(differences[0]).toBeCloseTo(0.2)
    expect([standardError([0.4, 0.6]), standardError([1])]).toEqual([expect.closeTo(0.1), 0])
  })
})
