// What nodes do with limits while Redis is away, and what becomes of it afterwards.

import { describe, expect, it } from 'vitest'
import type { AwayPolicy, LimitRule } from '../../src/adapter-kit/limits.ts'
import { NodeLimits } from '../../src/quota/node-limits.ts'
import { QuotaMetrics } from '../../src/quota/quota-metrics.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { QuotaMesh } from './simulated-nodes.ts'

const { link, redis } = await sharedRedis({ commandTimeoutMs: 15_000 })

const NODES = 4
const LIMIT = 100
const rule: LimitRule = { algorithm: 'fixedWindow', amount: LIMIT, windowMs: 3_600_000, from: 'epoch' }

function charge(mesh: QuotaMesh, times: number, away?: AwayPolicy): Promise<void> {
  for (let each = 0; each < times; each++)
    mesh.charge(each % NODES, [{ key: 'k', rule, amount: 1, ...(away === undefined ? {} : { away }) }])
  return mesh.settled()
}

async function left(mesh: QuotaMesh): Promise<number | undefined> {
  return (await mesh.nodes[0]?.charge([{ key: 'k', rule, amount: 0 }], { mode: 'all' }))?.[0]?.left
}

describe('while Redis is away', () => {
  it('each node goes on with its share, and what had been used before is not shared out again', async () => {
    const mesh = new QuotaMesh(link, NODES)
    await charge(mesh, 40)
    mesh.link.set(false)
    await charge(mesh, 1_000)
    expect(mesh.granted.length).toBeGreaterThan(90)
    // Nodes have last heard of it at different times, the first one after 37 of 40.
    expect(mesh.granted.length).toBeLessThanOrEqual(104)
  })

  it('a node that has never heard of a counter has its share of the whole', async () => {
    const mesh = new QuotaMesh(link, NODES)
    mesh.link.set(false)
    await charge(mesh, 1_000)
    expect(mesh.granted.length).toBe(LIMIT)
  })

  it('charges what was granted when Redis is back, once, and tells what was too much', async () => {
    const mesh = new QuotaMesh(link, NODES)
    mesh.link.set(false)
    await charge(mesh, 60)
    mesh.link.set(true)
    await mesh.settled()
    expect(await left(mesh)).toBe(LIMIT - 60)
    mesh.link.set(false)
    await charge(mesh, 200, 'open')
    mesh.link.set(true)
    await mesh.settled()
    expect(await left(mesh)).toBe(LIMIT - 260)
    const overshot = mesh.meters.reduce((sum, meter) => sum + (meter.values.get('quota_overshoot_total h') ?? 0), 0)
    expect(overshot).toBe(160)
    mesh.link.set(false)
    mesh.link.set(true)
    await mesh.settled()
    expect(await left(mesh)).toBe(LIMIT - 260)
  })

  it('owes what was granted to one call once, however often it is made', async () => {
    const mesh = new QuotaMesh(link, NODES)
    mesh.link.set(false)
    for (const away of ['share', 'open'] as const)
      for (let each = 0; each < 3; each++)
        await mesh.nodes[0]?.charge([{ key: 'k', rule, amount: 2, away }], { mode: 'all', id: away })
    mesh.link.set(true)
    await mesh.settled()
    expect(await left(mesh)).toBe(LIMIT - 4)
  })

  it('forgets what was granted in a window that is over', async () => {
    const mesh = new QuotaMesh(link, NODES)
    mesh.link.set(false)
    await charge(mesh, 60)
    await mesh.clock.advance(3_600_000)
    mesh.link.set(true)
    await mesh.settled()
    expect(await left(mesh)).toBe(LIMIT)
  })

  it('grants everything or rejects where that is the policy', async () => {
    const mesh = new QuotaMesh(link, NODES)
    mesh.link.set(false)
    await charge(mesh, 500, 'open')
    expect(mesh.granted.length).toBe(500)
    const closed = async () => mesh.nodes[0]?.charge([{ key: 'c', rule, amount: 1, away: 'closed' }], { mode: 'all' })
    await expect(closed()).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  })
})

describe('while Redis is slow', () => {
  it('a caller that waits no longer than some milliseconds is answered from the share, and charged once', async () => {
    const limits = new NodeLimits({
      shared: new RedisLimits({ link, clock: systemClock, prefix: 'slow:' }),
      link,
      clock: systemClock,
      log: new KeptLog(),
      metrics: new QuotaMetrics(new ReadableMeter(), 'h'),
      processes: { count: 2, note: () => undefined },
    })
    const ask = (amount: number, waitMs: number) =>
      limits.charge([{ key: 'k', rule, amount }], { mode: 'count', deadline: systemClock.monotonic() + waitMs })
    expect((await ask(10, 10_000))[0]).toMatchObject({ granted: 10, left: 90 })
    redis.pause()
    try {
      // Without a look at the deadline this takes until the command times out.
      expect((await ask(10, 5))[0]).toMatchObject({ granted: 10, isExceeded: false })
      expect((await ask(50, 5))[0]).toMatchObject({ isExceeded: true })
    } finally {
      redis.resume()
    }
    // What was refused is not counted without Redis.
    await expect.poll(async () => (await ask(0, 10_000))[0]?.left).toBe(80)
    await limits.close()
  })
})
