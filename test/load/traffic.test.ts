import { describe, expect, it } from 'vitest'
import { decisionOn, pathOf } from '../../load/oracle.ts'
import { seededRandom } from '../../load/random.ts'
import { arrivals, outages, poissonTimes } from '../../load/schedule.ts'
import { ZipfSampler } from '../../load/zipf.ts'

describe('seeded random numbers', () => {
  it('repeat with the seed, differ without it, and are spread evenly over [0, 1)', () => {
    const draw = (seed: number) => Array.from({ length: 20_000 }, seededRandom(seed))
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
    const values = draw(7)
    for (let tenth = 0; tenth < 10; tenth++) {
      const share = values.filter((value) => Math.floor(value * 10) === tenth).length / values.length
      expect(share).toBeCloseTo(0.1, 1)
    }
  })
})

describe('the Zipf sampler', () => {
  it('draws each rank as often as its share says', () => {
    const sampler = new ZipfSampler(50, 1, seededRandom(1))
    const drawn = Array.from({ length: 100_000 }, () => sampler.next())
    const shareOf = (rank: number) => drawn.filter((each) => each === rank).length / drawn.length
    for (const rank of [0, 1, 9, 49]) expect(shareOf(rank)).toBeCloseTo(sampler.share(rank), 2)
    expect(sampler.share(0) / sampler.share(9)).toBeCloseTo(10, 9)
  })

  it('has shares that add up to one, and one rank where there is only one', () => {
    const sampler = new ZipfSampler(1_000, 0.8, seededRandom(1))
    let sum = 0
    for (let rank = 0; rank < 1_000; rank++) sum += sampler.share(rank)
    expect(sum).toBeCloseTo(1, 9)
    expect(new ZipfSampler(1, 1.2, seededRandom(1)).next()).toBe(0)
    expect(() => new ZipfSampler(0, 1, seededRandom(1))).toThrow(/whole number from 1/)
  })
})

describe('the schedule', () => {
  it('sends at the wanted rate, in order, within the time', () => {
    const times = arrivals(200, 60_000, seededRandom(3))
    expect(times.length / 60).toBeGreaterThan(190)
    expect(times.length / 60).toBeLessThan(210)
    expect(times.every((at, i) => at < 60_000 && at >= (times[i - 1] ?? 0))).toBe(true)
  })

  it('follows ramps: as many requests by any time as the rate has amounted to, within four standard deviations', () => {
    const phases = [
      { from: 0, to: 1_000, seconds: 10 },
      { from: 1_000, to: 1_000, seconds: 5 },
      { from: 1_000, to: 200, seconds: 10 },
      { from: 0, to: 0, seconds: 5 },
      { from: 50, to: 50, seconds: 10 },
    ]
    const times = [...poissonTimes(phases, seededRandom(9))]
    expect(times.every((at, i) => at >= (times[i - 1] ?? 0) && at < 40_000)).toBe(true)
    for (const [from, to, wanted] of [
      [0, 5_000, 1_250],
      [5_000, 10_000, 3_750],
      [10_000, 15_000, 5_000],
      [15_000, 20_000, 4_000],
      [20_000, 25_000, 2_000],
      [25_000, 30_000, 0],
      [30_000, 40_000, 500],
    ] as const) {
      const count = times.filter((at) => at >= from && at < to).length
      expect(Math.abs(count - wanted)).toBeLessThanOrEqual(4 * Math.sqrt(wanted))
    }
  })

  it('keeps outages within their bounds and apart, and ends with a pause', () => {
    const bounds = { minDownMs: 400, maxDownMs: 5_000, minUpMs: 4_000 }
    const list = outages(
      { ...bounds, durationMs: 600_000, warmUpMs: 10_000, meanDownMs: 1_600, meanUpMs: 5_000 },
      seededRandom(5),
    )
    expect(list.length).toBeGreaterThan(60)
    for (const [index, { from, to }] of list.entries()) {
      expect(from).toBeGreaterThanOrEqual((list[index - 1]?.to ?? 6_000) + bounds.minUpMs)
      expect(to - from).toBeGreaterThanOrEqual(bounds.minDownMs)
      expect(to - from).toBeLessThanOrEqual(bounds.maxDownMs)
      expect(to).toBeLessThanOrEqual(600_000 - bounds.minUpMs)
    }
  })
})

describe('the oracle', () => {
  it('denies about one key in ten, and each always alike', () => {
    const decisions = Array.from({ length: 10_000 }, (_, key) => decisionOn(pathOf(key)))
    expect(decisions.filter((decision) => decision === 'deny').length / 10_000).toBeCloseTo(0.1, 1)
    expect(decisions).toEqual(Array.from({ length: 10_000 }, (_, key) => decisionOn(pathOf(key))))
  })
})
