// The ledger over a real Redis: whatever happens to parcels, batches and dead letters, and however often it is told, the sums
// hold, and what was lost is named, there and nowhere else.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sharedRedis } from '../redis/shared-redis.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { HANDLERS, World } from './ledger-world.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 5_000, role: 'queue' })

const handler = fc.constantFrom(...HANDLERS)
const times = fc.constantFrom(1, 1, 2, 3)
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('accept' as const),
      count: fc.integer({ min: 1, max: 50 }),
      killed: fc.constantFrom(false, false, false, true),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('fan-out' as const),
      to: handler,
      share: fc.constantFrom(0, 150, 10_000),
      unreadable: fc.constantFrom(false, false, true),
      times,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('deliver' as const),
      to: handler,
      fate: fc.constantFrom('delivered', 'part', 'dropped', 'dead'),
      times,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('stranger' as const),
      to: handler,
      count: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('operate' as const), action: fc.constantFrom('replay', 'drop') }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('destroy' as const),
      which: fc.constantFrom('reports', 'letter', ...HANDLERS),
    }),
  },
)

describe('the ledger in Redis', () => {
  it('remembers what has ended for two hours at most, in two sets', async () => {
    const ledger = new RedisLedger(link, 'hours')
    const { seen } = queueNames('hours').ledger
    const settle = (id: string) => ledger.settle({ id, handler: 'a', delivered: 1 })
    expect(await settle('early')).toEqual([true])
    expect(await settle('early')).toEqual([false])
    const sizes = await link.run((client) => Promise.all(seen.map((key) => client.scard(key))))
    // One batch, and the hour that the set is of.
    expect(sizes.toSorted((a, b) => a - b)).toEqual([0, 2])
    const fresh = seen[sizes.indexOf(2)] ?? ''
    const ttl = await link.run((client) => client.ttl(fresh))
    expect(ttl).toBeGreaterThan(7_000)
    expect(ttl).toBeLessThanOrEqual(7_200)
    // The set's hour is over: as two hours later, when its turn comes again.
    await link.run(async (client) => {
      const stamp = (await client.smembers(fresh)).find((member) => member.startsWith('@')) ?? ''
      await client.multi().srem(fresh, stamp).sadd(fresh, '@1').exec()
    })
    expect(await ledger.hasSettled('a', 'early')).toBe(true)
    await settle('late')
    expect(await ledger.hasSettled('a', 'early')).toBe(false)
    expect(await link.run((client) => client.scard(fresh))).toBe(2)
  })

  it('misses only what had not come to the fan-out when Redis lost its data', async () => {
    const world = new World(link)
    try {
      await world.accept(7, false)
      await world.fanOut({ to: HANDLERS[0], share: 10_000, unreadable: false, times: 1 })
      await world.accept(5, false)
      await link.run(async (client) => client.del(...(await client.keys(`*${world.prefix}*`))))
      for (const _ of [1, 2]) await world.node.signs.say()
      await world.audit.look()
      await world.clock.advance(1_500)
      const { findings, nodes } = await world.audit.look()
      expect(findings).toMatchObject([{ where: 'queue', atLeast: 5 }])
      expect(nodes).toMatchObject([{ accepted: 12, arrived: 7 }])
    } finally {
      await world.end()
    }
  })

  it('adds up whatever happens how often, and names what was lost, where it was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
        const world = new World(link)
        try {
          for (const each of steps) {
            if (each.kind === 'accept') await world.accept(each.count, each.killed)
            else if (each.kind === 'fan-out') await world.fanOut(each)
            else if (each.kind === 'deliver') await world.deliver(each.to, each.fate, each.times)
            else if (each.kind === 'stranger') await world.stranger(each.to, each.count)
            else if (each.kind === 'operate') await world.operate(each.action)
            else await world.destroy(each.which)
          }
          await world.check()
          await world.audit.look()
          await world.clock.advance(1_500)
          const { findings } = await world.audit.look()
          expect(findings.filter((finding) => finding.isUnsettled)).toEqual([])
          expect(new Set(findings.map(({ where, name }) => `${where} ${name}`))).toEqual(new Set(world.lost.keys()))
          for (const { where, name, atLeast } of findings) {
            expect(atLeast).toBeGreaterThan(0)
            if (where === 'node') expect(atLeast).toBe(world.lost.get(`node ${name}`))
          }
        } finally {
          await world.end()
        }
      }),
      { numRuns: 40 },
    )
  })
})
