import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { deadLetterShare, handlerShare } from '../../src/telemetry/handler-share.ts'
import { MemoryCredit } from '../../src/telemetry/memory-credit.ts'
import type { MemoryLook, QueueMemory } from '../../src/telemetry/queue-memory.ts'
import { FakeClock } from '../helpers/clock.ts'

const MIB = 1024 * 1024
const MARKS = { stopAt: 0.7, resumeAt: 0.65 }

/** A server whose memory is what was written to it. */
class Server {
  used = 0
  looks = 0
  readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  /** As one process sees it. */
  memory(): Pick<QueueMemory, 'look' | 'onLook'> {
    const listeners: ((look: MemoryLook) => void)[] = []
    let underWay: Promise<MemoryLook> | undefined
    return {
      onLook: (listener) => {
        listeners.push(listener)
        return () => undefined
      },
      look: () => {
        const { used, limit } = this
        underWay ??= Promise.resolve().then(() => {
          this.looks++
          underWay = undefined
          const look = { used, limit, policy: 'noeviction', waiting: 0 }
          for (const listener of listeners) listener(look)
          return look
        })
        return underWay
      },
    }
  }
}

function creditFor(server: Server, clock = new FakeClock()): MemoryCredit {
  return new MemoryCredit(server.memory() as QueueMemory, clock, MARKS)
}

async function push(server: Server, credit: MemoryCredit, bytes: number): Promise<boolean> {
  try {
    await credit.acquire(bytes)
  } catch {
    return false
  }
  server.used += bytes
  return true
}

describe('credit for writes', () => {
  it('never lets many nodes fill a server, however they come together after it was away', async () => {
    const write = fc.record({ node: fc.nat(15), bytes: fc.integer({ min: 500, max: 200_000 }) })
    await fc.assert(
      fc.asyncProperty(
        fc.array(write, { minLength: 400, maxLength: 1000, size: 'max' }),
        fc.integer({ min: 1, max: 16 }),
        async (writes, nodes) => {
          const server = new Server(32 * MIB)
          const clock = new FakeClock()
          const credits = Array.from({ length: nodes }, () => creditFor(server, clock))
          // All that can be under way is.
          await Promise.all(writes.map(({ node, bytes }) => push(server, credits[node % nodes] as MemoryCredit, bytes)))
          expect(server.used).toBeLessThan(0.9 * server.limit)
        },
      ),
      { numRuns: 30, endOnFailure: true },
    )
  })

  it('needs a look for few of many writes', async () => {
    const server = new Server(1024 * MIB)
    const credit = creditFor(server)
    for (let i = 0; i < 5000; i++) expect(await push(server, credit, 20_000)).toBe(true)
    expect(server.looks).toBeLessThan(50)
  })

  it('begins gently, ends at the mark, and begins again below the other one', async () => {
    const server = new Server(10 * MIB)
    const credit = creditFor(server)
    expect(await push(server, credit, 1000)).toBe(true)
    expect(credit.take(100_000)).toBe(false)
    server.used = 0.71 * server.limit
    const error = { code: 'OVERLOADED', message: expect.stringContaining('71 %') }
    await expect(credit.acquire(100_000)).rejects.toMatchObject(error)
    expect(credit.holding).toBe(true)
    server.used = 0.66 * server.limit
    await expect(credit.acquire(1000)).rejects.toMatchObject({ code: 'OVERLOADED' })
    server.used = 0.64 * server.limit
    expect(await push(server, credit, 1000)).toBe(true)
    expect(credit.holding).toBe(false)
  })

  it('does not last: others write meanwhile', async () => {
    const server = new Server(100 * MIB)
    const clock = new FakeClock()
    const credit = creditFor(server, clock)
    await push(server, credit, 1000)
    expect(credit.take(1000)).toBe(true)
    await clock.advance(1000)
    expect(credit.take(1000)).toBe(false)
  })

  it('lets one large write through with each look, where there is room for it', async () => {
    const server = new Server(100 * MIB)
    const credit = creditFor(server)
    const [first, second] = [push(server, credit, 30 * MIB), push(server, credit, 30 * MIB)]
    expect([await first, await second]).toEqual([true, true])
    expect(server.looks).toBe(2)
    expect(await push(server, credit, 30 * MIB)).toBe(false)
  })

  it('is endless where the server has no limit', async () => {
    const server = new Server(0)
    server.used = 1000 * MIB
    const credit = creditFor(server)
    expect(await push(server, credit, 300 * MIB)).toBe(true)
    expect(credit.holding).toBe(false)
  })
})

describe('the share of a handler', () => {
  const look = (usedShare: number, limit = 100 * MIB): MemoryLook => ({
    used: usedShare * limit,
    limit,
    policy: 'noeviction',
    waiting: 0,
  })

  it('is a quarter of the memory for one, and less for each where many hold much', () => {
    expect(handlerShare(look(0.2), 0)).toBe(25 * MIB)
    expect(handlerShare(look(0.2), 40 * MIB)).toBe(10 * MIB)
    expect(handlerShare(undefined, 0)).toBe(256 * MIB)
    expect(handlerShare(look(0.2, 0), 0)).toBe(256 * MIB)
  })

  it('shrinks where Redis is nearly full, but not to nothing: who keeps up loses nothing', () => {
    expect(handlerShare(look(0.8), 0)).toBeCloseTo(12.5 * MIB, -2)
    expect(handlerShare(look(0.9), 0)).toBe(3 * MIB)
    expect(handlerShare(look(0.2), 90 * MIB)).toBe(3 * MIB)
  })

  it('is never more than the operator allows', () => {
    fc.assert(
      fc.property(
        fc.float({ min: 0, max: 1, noNaN: true }),
        fc.nat(100 * MIB),
        fc.nat(1024 * MIB),
        (share, held, most) => {
          expect(handlerShare(look(share), held, most)).toBeLessThanOrEqual(most)
        },
      ),
    )
    expect(handlerShare(undefined, 0, 7)).toBe(7)
  })

  it('leaves room below the mark of nodes, however many backends take nothing', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 10_000, max: 500_000 }), (handlers, batch) => {
        const held = Array.from({ length: handlers }, () => 0)
        const sum = () => held.reduce((total, bytes) => total + bytes, 0)
        for (let round = 0; round < 2000; round++) {
          const which = round % handlers
          const used = 0.1 + sum() / (100 * MIB)
          if ((held[which] as number) + batch <= handlerShare(look(used), sum()))
            held[which] = (held[which] as number) + batch
        }
        expect(sum()).toBeLessThan(0.5 * 100 * MIB)
        expect(Math.min(...held)).toBeGreaterThan(2 * MIB)
      }),
    )
  })

  it('of dead letters is 8 % of the memory, or what the operator says', () => {
    expect(deadLetterShare(look(0.1))).toBe(8 * MIB)
    expect(deadLetterShare(undefined)).toBe(64 * MIB)
    expect(deadLetterShare(look(0.1), 1000)).toBe(1000)
  })
})
