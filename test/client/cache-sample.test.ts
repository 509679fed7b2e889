import { expect, it } from 'vitest'
import { recommendedSize } from '../../src/cache/tuning/caller-sizes.ts'
import { CacheSampler } from '../../src/client/cache-sample.ts'
import { ASK_EVERY_MS, StreamNews } from '../../src/client/nodes/stream-news.ts'
import { seededRandom } from '../../load/random.ts'
import { ZipfSampler } from '../../load/zipf.ts'
import { fingerprintOf } from '../../load/curves/exact-curve.ts'
import type { Heard } from '../../src/wire/batch/news.ts'
import { FakeClock } from '../helpers/clock.ts'

const FOREVER = Number.POSITIVE_INFINITY

it('tells a cache that is too large so, by what a sample of its keys would have needed', () => {
  const clock = new FakeClock()
  const sampler = new CacheSampler({ clock, maxEntries: 80_000, maxBytes: 1e9 })
  // Fifteen thousand keys are all that is ever asked for: a quarter of the size is enough.
  for (let round = 0; round < 8; round++)
    for (let key = 0; key < 15_000; key++) {
      const print = fingerprintOf(key)
      if (round === 0) sampler.stored(print, 500, FOREVER, true, undefined)
      else if (sampler.found(print)) sampler.sampled(print, 500, FOREVER)
    }
  const sample = sampler.take({ size: 15_000, bytes: 15_000 * 500 })
  expect(sample.lookups).toHaveLength(12)
  expect(sample.lookups.reduce((one, two) => one + two, 0)).toBe(120_000)
  expect(recommendedSize(sample)).toMatchObject({ entries: 80_000, recommendedEntries: 20_000 })
})

it('takes for its size what fits, where bytes are what bounds it', () => {
  const sampler = new CacheSampler({ clock: new FakeClock(), maxEntries: 80_000, maxBytes: 1e6 })
  expect(sampler.take({ size: 0, bytes: 0 }).entries).toBe(80_000)
  expect(sampler.take({ size: 900, bytes: 900_000 }).entries).toBe(1_000)
})

it('is sent to a node with what was heard, after ten seconds and then once a minute', async () => {
  const clock = new FakeClock()
  const sent: Heard[] = []
  const sample = { entries: 5, lookups: [] }
  const taker = { name: 's', heard: () => ({ epoch: undefined }), sample: () => sample, take: () => false, lost() {} }
  const news = new StreamNews({ clock, taker, send: (heard) => sent.push(heard), onDead() {} })
  news.start()
  for (let i = 0; i < 250; i++) {
    news.take({ ask: sent.length, epoch: undefined, revocations: [], outOfTouchMs: 0, maxAgeMs: 0, load: 0 })
    await clock.advance(ASK_EVERY_MS)
  }
  expect(sent).toHaveLength(251)
  const sampled = sent.flatMap((heard, i) => (heard.sample === undefined ? [] : [(i * ASK_EVERY_MS) / 1_000]))
  expect(sampled).toEqual([10, 70])
  expect(sent[0]?.sample).toBeUndefined()
  news.stop()
})

it.each([1, 2, 3, 4, 5, 6, 7, 8])(
  'takes more keys of a small cache, so that chance tells it no size (seed %d)',
  (seed) => {
    const random = seededRandom(seed)
    const popular = new ZipfSampler(20_000, 0.9, random)
    const sampler = new CacheSampler({ clock: new FakeClock(), maxEntries: 800, maxBytes: 1e9 })
    const kept = new Set<number>()
    for (let i = 0; i < 12_000; i++) {
      const key = popular.next()
      const print = fingerprintOf(key)
      if (!kept.has(key)) sampler.stored(print, 500, FOREVER, true, undefined)
      else if (sampler.found(print)) sampler.sampled(print, 500, FOREVER)
      kept.delete(key)
      kept.add(key)
      if (kept.size > 800) kept.delete(kept.values().next().value ?? -1)
    }
    const sample = sampler.take({ size: 800, bytes: 400_000 })
    // As all keys would have it: 24 % with an eighth of the size.
    const [eighth = 0] = sample.lookups
    expect(eighth / 12_000).toBeGreaterThan(0.2)
    expect(eighth / 12_000).toBeLessThan(0.28)
    const size = recommendedSize(sample)
    expect(size?.recommendedEntries).toBeGreaterThanOrEqual(2_400)
    expect(size?.recommendedHitRatio).toBeGreaterThan((size?.hitRatio ?? 1) + 0.05)
  },
)
