import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemoryQueue } from '../../../src/adapter-kit/exporter/memory-queue.ts'
import type { Consume, Outcome } from '../../../src/adapter-kit/exporter/sending-queue.ts'
import { FakeClock } from '../../helpers/clock.ts'

type Fate = 'again' | 'pause' | 'hold' | 'ended' | 'lost' | 'part' | 'part-again' | 'halves'

interface Batch {
  readonly id: number
  readonly size: number
  /** What comes of its tries, one after the other; delivered after that. */
  readonly tries: readonly Fate[]
}

const AGAIN = { kind: 'again', afterMs: 10, error: 'away' } as const

/** What is delivered of a batch, refused, and goes on. */
function thirds({ id, size, tries }: Batch) {
  const third = Math.floor(size / 3)
  return { refused: { id, size: third, tries: [] }, rest: { id, size: size - 2 * third, tries: tries.slice(1) } }
}

function outcomeOf(fate: Exclude<Fate, 'lost'>, batch: Batch): Outcome<Batch> {
  switch (fate) {
    case 'again':
      return AGAIN
    case 'pause':
      return { ...AGAIN, pauseMs: 20 }
    case 'hold':
      return { kind: 'hold', afterMs: 5, error: 'away' }
    case 'ended':
      return { kind: 'ended', why: 'refused', error: 'no' }
    case 'halves': {
      const half = Math.floor(batch.size / 2)
      const [rest, more] = [
        { ...batch, size: batch.size - half },
        { ...batch, size: half },
      ]
      return { kind: 'part', delivered: 0, ended: [], more: [more], rest }
    }
    case 'part':
    case 'part-again': {
      const { refused, rest } = thirds(batch)
      const ended = [{ batch: refused, outcome: { kind: 'ended', why: 'refused', error: 'no' } as const }]
      return {
        kind: 'part',
        delivered: refused.size,
        ended,
        more: [],
        rest,
        ...(fate === 'part' ? {} : { next: AGAIN }),
      }
    }
  }
}

/** A queue before a backend that takes a millisecond, with a record of everything that happens. */
function queueOf({ concurrency = 4, queueInstances = Number.POSITIVE_INFINITY } = {}) {
  const clock = new FakeClock()
  const calls: { readonly id: number; readonly at: number; readonly ageMs: number }[] = []
  const sums = { delivered: 0, ended: 0, released: 0 }
  const load = { now: 0, most: 0 }
  const tries = new Map<number, number>()
  const consume: Consume<Batch> = async (batch, { ageMs }) => {
    calls.push({ id: batch.id, at: clock.monotonic(), ageMs })
    load.most = Math.max(load.most, ++load.now)
    await new Promise<void>((resolve) => clock.after(1, resolve))
    load.now--
    const at = tries.get(batch.id) ?? 0
    tries.set(batch.id, at + 1)
    const fate = fates.get(batch.id)?.[at]
    if (fate === 'lost') throw new Error('the ledger is out of reach')
    const outcome: Outcome<Batch> = fate === undefined ? { kind: 'delivered' } : outcomeOf(fate, batch)
    if (outcome.kind === 'delivered') sums.delivered += batch.size
    if (outcome.kind === 'part') sums.delivered += outcome.delivered
    return outcome
  }
  const fates = new Map<number, readonly Fate[]>()
  const queue = new MemoryQueue<Batch>({
    clock,
    limits: () => ({ concurrency, queueInstances }),
    sizeOf: ({ size }) => size,
    consume,
    ended: ({ size }) => void (sums.ended += size),
    released: (size) => void (sums.released += size),
  })
  const add = (batch: Batch) => {
    fates.set(batch.id, batch.tries)
    return queue.add(batch)
  }
  const order = () => calls.map(({ id }) => id)
  return { clock, queue, add, calls, order, sums, load }
}

const batch = (id: number, ...tries: Batch['tries']): Batch => ({ id, size: 10, tries })

describe('the queue in memory', () => {
  it('gives batches in order, and those that are tried again after what waits by then', async () => {
    const { queue, add, clock, order } = queueOf({ concurrency: 1 })
    for (const each of [batch(1, 'again', 'again'), batch(2), batch(3, 'again')]) await add(each)
    await clock.advance(100)
    expect(order()).toEqual([1, 2, 3, 1, 3, 1])
    expect(queue.held).toBe(0)
  })

  it('gives nothing in a pause, and says how old a batch is', async () => {
    const { add, clock, calls } = queueOf({ concurrency: 1 })
    for (const each of [batch(1, 'pause'), batch(2)]) await add(each)
    await clock.advance(20)
    expect(calls).toEqual([{ id: 1, at: 0, ageMs: 0 }])
    await clock.advance(100)
    expect(calls.slice(1)).toEqual(
      [
        { id: 1, at: 22, ageMs: 22 },
        { id: 2, at: 21, ageMs: 21 },
      ].toSorted((a, b) => a.at - b.at),
    )
  })

  it('lets nothing pass a batch that holds the queue', async () => {
    const { add, clock, order } = queueOf({ concurrency: 1 })
    for (const each of [batch(1), batch(2, 'hold', 'hold'), batch(3)]) await add(each)
    await clock.advance(100)
    expect(order()).toEqual([1, 2, 2, 2, 3])
  })

  it('goes on with what is left of a batch, at once or later', async () => {
    const { queue, add, clock, calls, sums } = queueOf({ concurrency: 1 })
    await add({ ...batch(1, 'part', 'part-again'), size: 90 })
    await clock.advance(2)
    expect(queue.held).toBe(10)
    await clock.advance(100)
    expect(calls.map(({ at }) => at)).toEqual([0, 1, 12])
    expect(sums).toEqual({ delivered: 50, ended: 40, released: 90 })
  })

  it('takes nothing beyond its bound, and a batch of any size when it is empty', async () => {
    const { add, clock } = queueOf({ queueInstances: 15 })
    expect(await add({ ...batch(1), size: 100 })).toBe(true)
    expect(await add(batch(2))).toBe(false)
    await clock.advance(1)
    expect(await add(batch(3))).toBe(true)
    expect(await add(batch(4))).toBe(false)
  })

  it('gives back what waits, delayed batches first, and lets end what is under way', async () => {
    const { queue, add, clock, sums } = queueOf({ concurrency: 1 })
    for (const each of [batch(1, 'again'), batch(2), batch(3), batch(4)]) await add(each)
    await clock.advance(1)
    expect(queue.clear().map(({ id }) => id)).toEqual([1, 3, 4])
    expect(queue.held).toBe(10)
    await clock.advance(100)
    expect(sums.delivered).toBe(10)
    expect(queue.held).toBe(0)
    expect(clock.pending).toBe(0)
  })

  it('gives at once what waits when it is told to hurry', async () => {
    const { add, clock, queue, calls } = queueOf({ concurrency: 1 })
    for (const each of [batch(1, 'pause'), batch(2)]) await add(each)
    await clock.advance(2)
    queue.hurry()
    await clock.advance(2)
    expect(calls.map(({ id, at }) => [id, at])).toEqual([
      [1, 0],
      [2, 2],
      [1, 3],
    ])
    await clock.advance(100)
    expect(clock.pending).toBe(0)
  })

  it('holds, delivers or ends each instance, once, at every moment, within its bounds', async () => {
    const fate = fc.constantFrom<Fate>('again', 'again', 'pause', 'hold', 'ended', 'lost', 'part', 'halves')
    const tries = fc.array(fate, { maxLength: 4 })
    const batches = fc.array(fc.record({ size: fc.integer({ min: 1, max: 50 }), tries, pause: fc.nat(8) }))
    const limits = fc.record({
      concurrency: fc.integer({ min: 1, max: 5 }),
      queueInstances: fc.integer({ min: 1, max: 200 }),
    })
    await fc.assert(
      fc.asyncProperty(batches, limits, async (list, bounds) => {
        const { queue, add, clock, sums, load } = queueOf(bounds)
        let taken = 0
        const check = () => {
          expect(sums.released + queue.held).toBe(taken)
          expect(sums.delivered + sums.ended).toBeGreaterThanOrEqual(sums.released)
          expect(queue.held).toBeLessThanOrEqual(Math.max(bounds.queueInstances, 50))
        }
        for (const [id, { pause, ...rest }] of list.entries()) {
          if (await add({ ...rest, id })) taken += rest.size
          await clock.advance(pause)
          check()
        }
        await clock.advance(10_000)
        check()
        expect(queue.held).toBe(0)
        expect(sums.delivered + sums.ended).toBe(taken)
        expect(load.most).toBeLessThanOrEqual(bounds.concurrency)
        expect(clock.pending).toBe(0)
      }),
    )
  })
})
