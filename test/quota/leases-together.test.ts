// Several limits in one charge, held ahead of need or not: all of them or none, with few calls of Redis.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChargeMode, LimitCharge, LimitRule } from '../../src/adapter-kit/limits.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { QuotaMesh } from './simulated-nodes.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000 })

const NODES = 4
const STEP_MS = 5
const window = (amount: number, windowMs = 1_000): LimitRule => ({
  algorithm: 'fixedWindow',
  amount,
  windowMs,
  from: 'epoch',
})
const total = (mesh: QuotaMesh, key: string) =>
  (mesh.byCounter.get(key) ?? []).reduce((sum, { amount }) => sum + amount, 0)

/** Every step all nodes together make so many calls; gives the calls of Redis for each, once demand is known. */
async function load(mesh: QuotaMesh, charges: readonly LimitCharge[], mode: ChargeMode, perStep: number, ms: number) {
  let requests = 0
  let [callsBefore, requestsBefore] = [0, 0]
  for (let at = 0; at < ms; at += STEP_MS) {
    for (let each = 0; each < perStep; each++) mesh.charge(requests++ % NODES, charges, mode)
    await mesh.settled()
    await mesh.clock.advance(STEP_MS)
    if (at === 500) [callsBefore, requestsBefore] = [mesh.calls, requests]
  }
  return (mesh.calls - callsBefore) / (requests - requestsBefore)
}

describe.each<ChargeMode>(['all', 'each', 'count'])('two limits at ten times the lower one, mode %s', (mode) => {
  it('hold, and seldom ask Redis', async () => {
    const mesh = new QuotaMesh(link, NODES)
    const [low, high] = [1_000, 20_000]
    const charges = [
      { key: 'low', rule: window(low), amount: 1, accuracy: 0.05 },
      { key: 'high', rule: window(high), amount: 1, accuracy: 0.05 },
    ]
    const calls = await load(mesh, charges, mode, (10 * low * STEP_MS) / 1_000, 2_000)
    expect(total(mesh, 'low')).toBeLessThanOrEqual(2 * low)
    expect(total(mesh, 'low')).toBeGreaterThan(2 * low * 0.9)
    if (mode === 'all') expect(total(mesh, 'high')).toBe(total(mesh, 'low'))
    else expect(total(mesh, 'high')).toBe(20 * low)
    expect(calls).toBeLessThanOrEqual(0.02)
  })
})

it('counts what is refused from memory when Redis is asked next', async () => {
  const mesh = new QuotaMesh(link, NODES)
  const charge = { key: 'k', rule: window(100, 60_000), amount: 1, accuracy: 0.2 }
  await load(mesh, [charge], 'count', 4, 1_000)
  // All but those of the last tenth of a second.
  const wanted = 4 * (1_000 / STEP_MS)
  expect(total(mesh, 'k')).toBeLessThanOrEqual(100)
  expect(100 - ((await mesh.left(charge)) ?? 0)).toBeGreaterThanOrEqual(wanted * 0.8)
  expect(100 - ((await mesh.left(charge)) ?? 0)).toBeLessThanOrEqual(wanted)
})

it('an exact limit beside one that is held is asked each time, and holds exactly', async () => {
  const mesh = new QuotaMesh(link, NODES)
  const exact = { key: 'exact', rule: window(300, 60_000), amount: 1 }
  const held = { key: 'held', rule: window(5_000, 60_000), amount: 1, accuracy: 0.1 }
  await load(mesh, [held, exact], 'all', 4, 600)
  expect(total(mesh, 'exact')).toBe(300)
  expect(total(mesh, 'held')).toBe(300)
  await Promise.all(mesh.nodes.map((node) => node.close()))
  expect(await mesh.left(exact)).toBe(0)
  expect(await mesh.left(held)).toBe(5_000 - 300)
})

it('charges what was granted, whatever comes together, once all that is held has been given back', async () => {
  const counter = fc.record({
    rule: fc.constantFrom<LimitRule>(
      window(60, 3_600_000),
      { algorithm: 'slidingWindow', amount: 80, windowMs: 3_600_000 },
      { algorithm: 'calendarWindow', amount: 50, unit: 'day' },
      { algorithm: 'rollingWindow', amount: 70, windowMs: 36_000_000, bucketMs: 3_600_000 },
    ),
    accuracy: fc.constantFrom(0, 0.3, 0.6),
  })
  const call = fc.record({
    node: fc.integer({ min: 0, max: NODES - 1 }),
    amounts: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 3, maxLength: 3 }),
    ms: fc.constantFrom(0, 0, 1, 20),
    mode: fc.constantFrom<ChargeMode>('all', 'all', 'each'),
  })
  const property = fc.asyncProperty(
    fc.array(counter, { minLength: 3, maxLength: 3 }),
    fc.array(call, { minLength: 50, maxLength: 250 }),
    async (counters, calls) => {
      const mesh = new QuotaMesh(link, NODES)
      for (const { node, amounts, ms, mode } of calls) {
        const charges = counters.flatMap((each, at) =>
          amounts[at] === undefined || amounts[at] === 0 ? [] : [{ ...each, key: `k${at}`, amount: amounts[at] }],
        )
        if (charges.length > 0) mesh.charge(node, charges, mode)
        if (ms > 0) {
          await mesh.settled()
          await mesh.clock.advance(ms)
        }
      }
      await mesh.settled()
      await Promise.all(mesh.nodes.map((node) => node.close()))
      await mesh.settled()
      for (const [at, each] of counters.entries()) {
        const key = `k${at}`
        expect(total(mesh, key)).toBeLessThanOrEqual(each.rule.amount)
        expect(await mesh.left({ ...each, key, amount: 0 })).toBe(each.rule.amount - total(mesh, key))
      }
      expect(mesh.torn).toBe(0)
    },
  )
  await fc.assert(property, { numRuns: 6 })
})
