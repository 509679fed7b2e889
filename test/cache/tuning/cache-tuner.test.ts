import { expect, it } from 'vitest'
import { seededRandom } from '../../../load/random.ts'
import type { LookupWatch } from '../../../src/cache/lookup-watch.ts'
import { CacheTuner } from '../../../src/cache/tuning/cache-tuner.ts'
import { Mover } from '../../../src/cache/tuning/mover.ts'
import { TunedTiers } from '../../../src/cache/tuning/tuned-tiers.ts'
import { Revocations } from '../../../src/cache/revocations.ts'
import type { VerdictEntry } from '../../../src/cache/verdict-entry.ts'
import { OK_STATUS } from '../../../src/kernel/status.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../../redis/support.ts'
import { Cache } from './full-cache.ts'
import { createRefusals } from '../../../src/cache/cache-metrics.ts'

const MIB = 1024 * 1024

function tunerOf(clock: FakeClock, memoryBytes = 10 * MIB) {
  const options = {
    memoryBytes,
    secondsPerUnit: 600,
    costPerCall: (name: string) => (name === 'dear' ? 2 : 0),
  }
  return new CacheTuner({ clock, log: new KeptLog(), ...options })
}

it('moves memory a little at a time, and gives what was given up', async () => {
  const clock = new FakeClock()
  const mover = new Mover(clock)
  const [from, to] = [new Cache(4 * MIB), new Cache(MIB)]
  mover.move(
    new Map([
      [from, 2 * MIB],
      [to, 3 * MIB],
    ]),
  )
  expect([from.maxBytes, to.maxBytes]).toEqual([3.5 * MIB, MIB])
  expect(mover.targetOf(to)).toBe(3 * MIB)
  await clock.advance(15)
  expect([from.maxBytes, to.maxBytes, mover.targetOf(to)]).toEqual([2 * MIB, 3 * MIB, 3 * MIB])
  expect(clock.pending).toBe(0)
  // What nobody uses costs nothing to give.
  const empty = new Cache(4 * MIB, 0)
  mover.move(new Map([[empty, 0]]))
  expect(empty.maxBytes).toBe(0)
})

it('begins with half for answers, and shares the rest among handlers as they come', async () => {
  const clock = new FakeClock()
  const tuner = tunerOf(clock)
  const join = (id: string, kind: 'answers' | 'verdicts') => tuner.join(id, kind, (bytes) => new Cache(bytes)).cache
  const answers = join('answers', 'answers')
  const sizes = async (...caches: Cache[]) => {
    expect(tuner.boundBytes).toBeLessThanOrEqual(tuner.dividedBytes)
    await clock.advance(1_000)
    return caches.map(({ maxBytes }) => Math.round((100 * maxBytes) / tuner.dividedBytes))
  }
  expect(await sizes(answers)).toEqual([50])
  const a = join('a', 'verdicts')
  expect(await sizes(answers, a)).toEqual([50, 50])
  const b = join('b', 'verdicts')
  expect(await sizes(answers, a, b)).toEqual([50, 25, 25])
  tuner.leave('a')
  expect(await sizes(answers, a, b)).toEqual([50, 0, 50])
})

it('tells what it knows of each cache, and what was saved', async () => {
  const clock = new FakeClock()
  const tuner = tunerOf(clock)
  let watch: Parameters<Parameters<typeof tuner.join>[2]>[1] | undefined
  const { costs } = tuner.join('dear', 'verdicts', (bytes, its) => {
    watch = its
    return new Cache(bytes)
  })
  for (let key = 0; key < 100; key++) watch?.stored(key, 100, Number.POSITIVE_INFINITY, true, undefined)
  for (let key = 0; key < 300; key++) watch?.found(key % 100)
  for (let i = 0; i < 100; i++) costs.record(5, i % 2 === 0)
  tuner.start()
  await clock.advance(10_000)
  const { parts, decision, memoryBytes } = tuner.view()
  expect([decision, memoryBytes]).toEqual(['unknown', 10 * MIB])
  expect(parts[0]).toMatchObject({
    name: 'dear',
    kind: 'verdicts',
    missMs: 5,
    callsPerMiss: 0.5,
    costPerCall: 2,
    hitRatio: 0.75,
  })
  expect(parts[0]?.saved).toEqual({ hits: 300, calls: 150, seconds: 1.5, money: 300 })
  tuner.stop()
  expect(clock.pending).toBe(0)
})

it('keeps a tier for each handler while it is asked, and one for those beyond the thirty-second', async () => {
  const clock = new FakeClock()
  const tuner = tunerOf(clock, 40 * MIB)
  const refused = createRefusals(new ReadableMeter(), 'verdict').size
  const tiers = new TunedTiers({ clock, tuner, onEvict() {}, refused })
  for (let i = 0; i < 32; i++) tiers.of(`h${i}`)
  expect(tiers.of('h0')).not.toBe(tiers.of('h1'))
  expect(tiers.of('one more')).toBe(tiers.of('another'))
  expect(tuner.view().parts).toHaveLength(33)
  tuner.start()
  tiers.start()
  await clock.advance(660_000)
  expect(tuner.view().parts).toHaveLength(0)
  expect(tuner.boundBytes).toBe(0)
  tiers.stop()
  tuner.stop()
  expect(clock.pending).toBe(0)
})

it('has fewer tiers where the memory is too small for the samples of many', () => {
  const clock = new FakeClock()
  const refused = createRefusals(new ReadableMeter(), 'verdict').size
  const partsOf = (memoryBytes: number) => {
    const tuner = tunerOf(clock, memoryBytes)
    const tiers = new TunedTiers({ clock, tuner, onEvict() {}, refused })
    for (let i = 0; i < 40; i++) tiers.of(`h${i}`)
    return tuner.view().parts.length
  }
  expect([MIB, 4 * MIB, 100 * MIB].map(partsOf)).toEqual([1, 3, 33])
})

it('keeps samples within their share of the memory, whatever keys come within seconds', async () => {
  const clock = new FakeClock()
  const tuner = tunerOf(clock, 20 * MIB)
  const watches: LookupWatch[] = []
  for (let i = 0; i < 6; i++)
    tuner.join(`h${i}`, 'verdicts', (bytes, watch) => {
      watches.push(watch)
      return new Cache(bytes)
    })
  tuner.start()
  const random = seededRandom(1)
  for (let second = 0; second < 20; second++) {
    for (let i = 0; i < 20_000; i++)
      watches[i % 6]?.stored(Math.floor(random() * 2 ** 32) | 0, 400, Number.POSITIVE_INFINITY, true, undefined)
    await clock.advance(1_000)
    expect(tuner.view().sampleBytes).toBeLessThanOrEqual(0.16 * 20 * MIB)
  }
  tuner.stop()
})

it('leaves a handler where its verdicts are, and makes no tier for who only looks', async () => {
  const clock = new FakeClock()
  const tuner = tunerOf(clock, 40 * MIB)
  const refused = createRefusals(new ReadableMeter(), 'verdict').size
  const tiers = new TunedTiers({ clock, tuner, onEvict() {}, refused })
  expect(tiers.known('h0')).toBeUndefined()
  for (let i = 0; i < 32; i++) tiers.of(`h${i}`)
  const shared = tiers.of('late')
  tuner.start()
  tiers.start()
  // All others are given up, and there is room for it.
  for (let minute = 0; minute < 15; minute++) {
    tiers.of('late').served('k'.repeat(43), entryOf(), 1e9)
    await clock.advance(60_000)
  }
  expect(tuner.view().parts.map(({ name }) => name)).toEqual(['other handlers'])
  expect([tiers.of('late'), tiers.known('late')]).toEqual([shared, shared])
  expect(tiers.of('new')).not.toBe(shared)
  await clock.advance(660_000)
  expect([tiers.known('late'), tiers.known('new')]).toEqual([undefined, undefined])
  expect(tiers.of('late')).not.toBe(shared)
  tiers.stop()
  tuner.stop()
})

function entryOf(): VerdictEntry {
  const verdict = { kind: 'allow' as const, status: OK_STATUS, validForMs: 1e6, validUses: 1e6 }
  const times = { createdAt: 0, freshUntil: 1e9, staleUntil: 1e9, fetchMs: 1, lastHitAt: 0 }
  return { verdict, ...times, epoch: new Revocations().epoch, isFetched: true, usesLeft: 9, hits: 0, answers: 0 }
}
