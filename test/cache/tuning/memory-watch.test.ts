import { expect, it } from 'vitest'
import { CacheTuner } from '../../../src/cache/tuning/cache-tuner.ts'
import { FixedSizes } from '../../../src/cache/tuning/fixed-sizes.ts'
import { MemoryWatch, type YieldingCaches } from '../../../src/cache/tuning/memory-watch.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../../redis/support.ts'
import { Cache } from './full-cache.ts'

const MIB = 1024 * 1024

function watchOf(clock: FakeClock, caches: YieldingCaches) {
  const [log, meter, memory] = [new KeptLog(), new ReadableMeter(), { share: 0.5 }]
  const port = { usedShare: () => memory.share }
  const watch = new MemoryWatch({ clock, log, meter, memory: port, caches })
  watch.start()
  return { log, meter, memory, watch }
}

const kindsOf = (clock: FakeClock) =>
  [
    [
      'fixed',
      () => {
        const parts = [new Cache(60 * MIB), new Cache(40 * MIB)]
        return { caches: new FixedSizes(clock, parts), parts }
      },
    ],
    [
      'tuned',
      () => {
        const options = { memoryBytes: Math.ceil((100 * MIB) / 0.7), secondsPerUnit: 0, costPerCall: () => 0 }
        const tuner = new CacheTuner({ clock, log: new KeptLog(), ...options })
        const join = (id: string, kind: 'answers' | 'verdicts') =>
          tuner.join(id, kind, (bytes) => new Cache(bytes)).cache
        const parts = [join('answers', 'answers'), join('a', 'verdicts')]
        return { caches: tuner, parts }
      },
    ],
  ] as const

it.each([0, 1])(
  'gives back a tenth of what is held at a time, while memory is scarce, and takes it again after long',
  async (kind) => {
    const clock = new FakeClock()
    const { caches, parts } = kindsOf(clock)[kind as 0 | 1][1]()
    await clock.advance(1_000)
    for (const part of parts) part.fill()
    const { log, meter, memory, watch } = watchOf(clock, caches)
    const held = () => Math.round(caches.heldBytes / MIB)
    const bounds = () => Math.round(parts.reduce((sum, { maxBytes }) => sum + maxBytes, 0) / MIB)
    await clock.advance(10_000)
    expect([held(), log.lines]).toEqual([100, []])
    memory.share = 0.86
    await clock.advance(1_000)
    expect([held(), bounds(), meter.value('cache_memory_steps_total', 'given_back')]).toEqual([90, 90, 1])
    expect(Math.round(meter.value('cache_given_back_bytes') / MIB)).toBe(10)
    expect(log.lines).toEqual([
      expect.stringMatching(/^warn the memory of this process is nearly used up.*"used":0.86,/),
    ])
    await clock.advance(3_000)
    expect(held()).toBe(90)
    await clock.advance(1_500)
    expect(held()).toBe(81)
    // Near the end it does not wait for long.
    memory.share = 0.95
    await clock.advance(3_000)
    expect(held()).toBe(59)
    // Neither scarce nor plenty: it stays.
    memory.share = 0.8
    await clock.advance(600_000)
    expect([held(), bounds()]).toEqual([59, 59])
    memory.share = 0.7
    await clock.advance(59_000)
    expect(bounds()).toBe(59)
    await clock.advance(2_000)
    expect(bounds()).toBe(65)
    for (const part of parts) part.fill()
    await clock.advance(500_000)
    expect([bounds(), caches.allowedBytes]).toEqual([100, caches.mostBytes])
    expect(meter.value('cache_given_back_bytes')).toBe(0)
    expect(meter.value('cache_memory_steps_total', 'taken_again')).toBe(6)
    expect(log.lines).toHaveLength(2)
    expect(log.lines[1]).toMatch(/^info caches may hold as much again/)
    watch.stop()
    caches.stop()
    expect(clock.pending).toBe(0)
  },
)

it('takes room that is not used yet for none, and leaves a little whatever happens', async () => {
  const clock = new FakeClock()
  const cache = new Cache(100 * 1024 * MIB, 10 * MIB)
  const caches = new FixedSizes(clock, [cache])
  const { memory, watch } = watchOf(clock, caches)
  memory.share = 0.9
  await clock.advance(300)
  expect(cache.maxBytes).toBe(9 * MIB)
  memory.share = 1.1
  await clock.advance(600_000)
  expect(cache.maxBytes).toBe(MIB)
  watch.stop()
  caches.stop()
})
