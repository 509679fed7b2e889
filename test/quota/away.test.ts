// What nodes do with limits while Redis is away, and what becomes of it afterwards.

import { describe, expect, it } from 'vitest'
import type { AwayPolicy, LimitRule } from '../../src/adapter-kit/limits.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { QuotaMesh } from './simulated-nodes.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000 })

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
