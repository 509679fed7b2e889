// Amounts that nodes hold ahead of need: most charges ask nobody, and the limit holds within the promised error.

import { describe, expect, it } from 'vitest'
import type { LimitRule } from '../../src/adapter-kit/limits.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { QuotaMesh } from './simulated-nodes.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000 })

const NODES = 8
const LIMIT = 1_000
const SECONDS = 4
const STEP_MS = 5

/** Asks at so many times the limit, evenly over the nodes; gives the calls of Redis a request, once demand is known. */
async function overload(mesh: QuotaMesh, rule: LimitRule, times: number, accuracy: number): Promise<number> {
  const perStep = (LIMIT * times * STEP_MS) / 1_000
  let requests = 0
  let [callsBefore, requestsBefore] = [0, 0]
  for (let at = 0; at < SECONDS * 1_000; at += STEP_MS) {
    for (let each = 0; each < perStep; each++) {
      mesh.charge(requests++ % NODES, [{ key: 'k', rule, amount: 1, accuracy }])
    }
    await mesh.settled()
    await mesh.clock.advance(STEP_MS)
    if (at === 1_000) [callsBefore, requestsBefore] = [mesh.calls, requests]
  }
  return (mesh.calls - callsBefore) / (requests - requestsBefore)
}

describe.each<[LimitRule['algorithm'], LimitRule]>([
  ['gcra', { algorithm: 'gcra', amount: LIMIT, windowMs: 1_000, burst: 200 }],
  ['fixedWindow', { algorithm: 'fixedWindow', amount: LIMIT, windowMs: 1_000, from: 'epoch' }],
  ['slidingWindow', { algorithm: 'slidingWindow', amount: LIMIT, windowMs: 1_000 }],
])('%s at ten times the limit', (_, rule) => {
  it('admits what was promised, with few calls of Redis', async () => {
    const mesh = new QuotaMesh(link, NODES)
    const calls = await overload(mesh, rule, 10, 0.1)
    const admitted = mesh.granted.reduce((sum, { amount }) => sum + amount, 0)
    const burst = 'burst' in rule ? rule.burst : 0
    expect(admitted).toBeLessThanOrEqual((LIMIT * SECONDS + burst) * 1.1)
    expect(admitted).toBeGreaterThan(LIMIT * SECONDS * 0.8)
    expect(calls).toBeLessThanOrEqual(0.02)
  })
})

it('asks Redis at each charge where exactness is promised, but not for what was refused a moment ago', async () => {
  const mesh = new QuotaMesh(link, NODES)
  const rule: LimitRule = { algorithm: 'fixedWindow', amount: LIMIT, windowMs: 1_000, from: 'epoch' }
  await overload(mesh, rule, 2, 0)
  const windows = Map.groupBy(mesh.granted, ({ at }) => Math.floor(at / 1_000))
  expect([...windows.values()].map((each) => each.length)).toEqual(Array.from({ length: SECONDS }, () => LIMIT))
})

describe('what nodes hold', () => {
  const rule: LimitRule = { algorithm: 'fixedWindow', amount: LIMIT, windowMs: 60_000, from: 'epoch' }
  const look = async (mesh: QuotaMesh) =>
    (await mesh.nodes[0]?.charge([{ key: 'k', rule, amount: 0 }], { mode: 'all' }))?.[0]

  async function warm(mesh: QuotaMesh): Promise<void> {
    for (let each = 0; each < 200; each++) {
      mesh.charge(each % 2, [{ key: 'k', rule, amount: 1, accuracy: 0.5 }])
      await mesh.settled()
      await mesh.clock.advance(1)
    }
  }

  it('is given back when nobody wants it', async () => {
    const mesh = new QuotaMesh(link, 2)
    await warm(mesh)
    expect((await look(mesh))?.left).toBeLessThan(LIMIT - mesh.granted.length)
    await mesh.clock.advance(2_000)
    await mesh.settled()
    expect((await look(mesh))?.left).toBe(LIMIT - mesh.granted.length)
  })

  it('is given back when the node ends', async () => {
    const mesh = new QuotaMesh(link, 2)
    await warm(mesh)
    await Promise.all(mesh.nodes.map((node) => node.close()))
    expect((await look(mesh))?.left).toBe(LIMIT - mesh.granted.length)
  })

  it('is not spent in a window in which it was not charged', async () => {
    const mesh = new QuotaMesh(link, 2)
    await mesh.clock.advance(60_000 - (mesh.clock.now() % 60_000) - 300)
    await warm(mesh)
    await mesh.clock.advance(100)
    const before = mesh.granted.length
    const { calls } = mesh
    mesh.charge(0, [{ key: 'k', rule, amount: 1, accuracy: 0.5 }])
    await mesh.settled()
    expect(mesh.granted.length).toBe(before + 1)
    expect(mesh.calls).toBeGreaterThan(calls)
    await Promise.all(mesh.nodes.map((node) => node.close()))
    expect((await look(mesh))?.left).toBe(LIMIT - 1)
  })
})

it('lets a raised limit count at once, where the old one was refused a moment ago', async () => {
  const mesh = new QuotaMesh(link, 1)
  const charge = (amount: number) => {
    mesh.charge(0, [
      { key: 'k', rule: { algorithm: 'fixedWindow', amount, windowMs: 60_000, from: 'epoch' }, amount: 1 },
    ])
    return mesh.settled()
  }
  for (let each = 0; each < 4; each++) await charge(2)
  expect(mesh.granted.length).toBe(2)
  for (let each = 0; each < 4; each++) await charge(5)
  expect(mesh.granted.length).toBe(5)
})
