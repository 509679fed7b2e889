import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemoryQueue } from '../../../src/adapter-kit/exporter/memory-queue.ts'
import type { Consume, Outcome } from '../../../src/adapter-kit/exporter/sending-queue.ts'
import { FakeClock } from '../../helpers/clock.ts'

interface Batch {
  readonly id: number
  readonly size: number
  /** What comes of its tries, one after the other; delivered after that. */
  readonly tries: readonly ('again' | 'ended' | 'lost')[]
}

const OUTCOMES: Readonly<Record<'again' | 'ended', Outcome>> = {
  again: { kind: 'again', afterMs: 10, error: 'away' },
  ended: { kind: 'ended', why: 'refused', error: 'no' },
}

/** A queue before a backend that takes a millisecond, with a record of everything that happens. */
function queueOf({ concurrency = 4, queueInstances = Number.POSITIVE_INFINITY } = {}) {
  const clock = new FakeClock()
  const delivered: number[] = []
  const ended: number[] = []
  const released: number[] = []
  const load = { now: 0, most: 0, calls: 0 }
  const consume: Consume<Batch> = async ({ id, tries }, before) => {
    load.calls++
    load.most = Math.max(load.most, ++load.now)
    await new Promise<void>((resolve) => clock.after(1, resolve))
    load.now--
    const fate = tries[before]
    if (fate === 'lost') throw new Error('the ledger is out of reach')
    if (fate !== undefined) return OUTCOMES[fate]
    delivered.push(id)
    return { kind: 'delivered' }
  }
  const queue = new MemoryQueue<Batch>({
    clock,
    limits: () => ({ concurrency, queueInstances }),
    sizeOf: ({ size }) => size,
    consume,
    ended: ({ id }) => void ended.push(id),
    released: ({ id }) => void released.push(id),
  })
  return { clock, queue, delivered, ended, released, load }
}

const batch = (id: number, ...tries: Batch['tries']): Batch => ({ id, size: 10, tries })

describe('the queue in memory', () => {
  it('gives batches in order, and those that are tried again after what waits by then', async () => {
    const { queue, clock, delivered } = queueOf({ concurrency: 1 })
    for (const each of [batch(1, 'again', 'again'), batch(2), batch(3, 'again')]) await queue.add(each)
    await clock.advance(100)
    expect(delivered).toEqual([2, 3, 1])
    expect(queue.held).toBe(0)
  })

  it('takes nothing beyond its bound, and a batch of any size when it is empty', async () => {
    const { queue, clock } = queueOf({ queueInstances: 15 })
    expect(await queue.add({ ...batch(1), size: 100 })).toBe(true)
    expect(await queue.add(batch(2))).toBe(false)
    await clock.advance(1)
    expect(await queue.add(batch(3))).toBe(true)
    expect(await queue.add(batch(4))).toBe(false)
  })

  it('gives back what waits, delayed batches first, and lets end what is under way', async () => {
    const { queue, clock, delivered } = queueOf({ concurrency: 1 })
    for (const each of [batch(1, 'again'), batch(2), batch(3), batch(4)]) await queue.add(each)
    await clock.advance(1)
    expect(queue.clear().map(({ id }) => id)).toEqual([1, 3, 4])
    expect(queue.held).toBe(10)
    await clock.advance(100)
    expect(delivered).toEqual([2])
    expect(queue.held).toBe(0)
  })

  it('holds, delivers or ends each batch, once, at every moment, within its bounds', async () => {
    const fates = fc.array(fc.constantFrom('again', 'again', 'ended', 'lost'), { maxLength: 4 })
    const batches = fc.array(fc.record({ size: fc.integer({ min: 1, max: 50 }), tries: fates, pause: fc.nat(8) }))
    const limits = fc.record({
      concurrency: fc.integer({ min: 1, max: 5 }),
      queueInstances: fc.integer({ min: 1, max: 200 }),
    })
    await fc.assert(
      fc.asyncProperty(batches, limits, async (list, bounds) => {
        const { queue, clock, delivered, ended, released, load } = queueOf(bounds)
        const taken = new Map<number, number>()
        const check = () => {
          const done = [...delivered, ...ended]
          const left = [...taken].filter(([id]) => !done.includes(id))
          expect(new Set(done).size).toBe(done.length)
          expect(queue.held).toBe(left.reduce((sum, [, size]) => sum + size, 0))
          expect(queue.held).toBeLessThanOrEqual(Math.max(bounds.queueInstances, 50))
        }
        for (const [id, { pause, ...rest }] of list.entries()) {
          if (await queue.add({ ...rest, id })) taken.set(id, rest.size)
          await clock.advance(pause)
          check()
        }
        await clock.advance(10_000)
        check()
        expect(queue.held).toBe(0)
        expect(new Set(released)).toEqual(new Set(taken.keys()))
        expect(released).toHaveLength(taken.size)
        expect(load.most).toBeLessThanOrEqual(bounds.concurrency)
      }),
    )
  })
})
