import { describe, expect, it } from 'vitest'
import type { NodeAnswer, NodeGrant } from '../../../src/client/nodes/nodes.ts'
import type { QuotaCall } from '../../../src/client/quotas/quota-pools.ts'
import { OK_STATUS } from '../../../src/kernel/status.ts'
import { call, charge, createStage, PLENTY, type Stage } from './support.ts'

/** Charges one each of so many demands, a millisecond apart. */
async function chargeMany(stage: Stage, user: string, count: number): Promise<number> {
  let granted = 0
  for (let i = 0; i < count; i++) {
    const got = await charge(stage, call(user))
    if (typeof got === 'number') granted += got
    await stage.clock.advance(1)
  }
  return granted
}

/** As a node is asked for quotas along with a check. */
function asked({ nodes }: Stage, { bag, affinity, tenant, timeoutMs, demands }: QuotaCall): Promise<NodeAnswer> {
  return nodes.ask({ bag, affinity, tenant, timeoutMs, quotas: demands })
}

describe('pools of quotas', () => {
  it('asks a node once for many demands', async () => {
    const stage = createStage()
    expect(await chargeMany(stage, 'ann', 500)).toBe(500)
    expect(stage.nodes.asked.length).toBeLessThan(50)
    expect(stage.nodes.granted).toBeGreaterThanOrEqual(500)
    expect(stage.meter.value('pool_quotas_total', 'pool_granted')).toBeGreaterThan(450)
  })

  it('decides without a promise while there is some left', async () => {
    const stage = createStage()
    await chargeMany(stage, 'ann', 100)
    const grants = stage.pools.charge(call('ann'), stage.clock.monotonic())
    expect(grants).toBeInstanceOf(Map)
    const grant = (grants as Map<string, NodeGrant>).get('requests')
    expect(grant).toMatchObject({ granted: 1, status: OK_STATUS, shape: { config: 'c1' } })
    expect(grant?.validForMs).toBeGreaterThan(0)
  })

  it('has a pool for each answer to what grants depended on', async () => {
    const stage = createStage({ rate: 1, burst: 1, validForMs: 1_000 })
    expect(await charge(stage, call('ann'))).toBe(1)
    expect(await charge(stage, call('ann'))).toBe(0)
    expect(await charge(stage, call('bob'))).toBe(1)
    expect(stage.pools.size).toBe(2)
  })

  it('refuses for a moment without asking', async () => {
    const stage = createStage({ rate: 1, burst: 1, validForMs: 1_000 })
    await charge(stage, call('ann'))
    await charge(stage, call('ann'))
    const asked = stage.nodes.asked.length
    expect(await chargeMany(stage, 'ann', 90)).toBe(0)
    expect(stage.nodes.asked.length).toBe(asked)
    await chargeMany(stage, 'ann', 20)
    expect(stage.nodes.asked.length).toBe(asked + 1)
    expect(stage.meter.value('pool_quotas_total', 'pool_refused')).toBeGreaterThan(90)
  })

  it('tells the status with which the node refused', async () => {
    const stage = createStage({ rate: 1, burst: 1, validForMs: 1_000 })
    await charge(stage, call('ann'))
    await charge(stage, call('ann'))
    const grants = await stage.pools.charge(call('ann'), stage.clock.monotonic())
    expect(grants.get('requests')?.status).toEqual({ code: 8, message: 'the bucket is empty' })
  })

  it('goes on with what it holds where no node answers, and fails as the node does when that is spent', async () => {
    const stage = createStage()
    await chargeMany(stage, 'ann', 1_000)
    stage.nodes.mode = 'fails'
    const outcomes = []
    for (let i = 0; i < 150; i++) outcomes.push(await charge(stage, call('ann')))
    expect(outcomes[0]).toBe(1)
    expect(outcomes.at(-1)).toBe('BACKEND_FAILED')
    expect(new Set(outcomes)).toEqual(new Set([1, 'BACKEND_FAILED']))
  })

  it('lets nobody wait longer than it can, and asks ahead of need again when replies are lost', async () => {
    const stage = createStage()
    await charge(stage, call('ann'))
    stage.nodes.mode = 'hangs'
    const waiting = charge(stage, call('ann', 1, { timeoutMs: 300 }))
    await stage.clock.advance(300)
    expect(await waiting).toBe('DEADLINE_EXCEEDED')
    stage.nodes.mode = 'answers'
    await stage.clock.advance(500)
    expect(await chargeMany(stage, 'ann', 100)).toBe(100)
  })

  it('grants a part where a part is wanted', async () => {
    const stage = createStage({ rate: 1, burst: 10, validForMs: 1_000 })
    await charge(stage, call('ann', 4))
    expect(await charge(stage, call('ann', 9))).toBe(0)
    expect(await charge(stage, call('ann', 9, { bestEffort: true }))).toBe(6)
  })

  it('holds nothing of what is not used up by time', async () => {
    const stage = createStage({ rate: 1, burst: 100, validForMs: 0 })
    await chargeMany(stage, 'ann', 10)
    expect(stage.nodes.granted).toBe(10)
    expect(stage.nodes.asked).toHaveLength(10)
    expect(stage.pools.size).toBe(0)
  })

  it('hands on what is given back', async () => {
    const stage = createStage()
    await chargeMany(stage, 'ann', 10)
    await charge(stage, call('ann', -3))
    expect(stage.nodes.asked.at(-1)?.quotas?.get('requests')).toEqual({ amount: -3, bestEffort: false })
  })

  it('grants what is left together with what is leased anew for as long as both may be spent', async () => {
    const burst = 103
    const stage = createStage({ rate: 0.001, burst, validForMs: 900 })
    let spent = 0
    while (burst - stage.nodes.granted > 4) spent += (await charge(stage, call('ann'))) === 1 ? 1 : 0
    await stage.clock.advance(300)
    const left = stage.nodes.granted - spent
    // Who is refused so much makes more be leased.
    expect(await charge(stage, call('ann', 200))).toBe(0)
    const grants = await stage.pools.charge(call('ann', left + 1), stage.clock.monotonic())
    expect(stage.nodes.granted).toBe(burst)
    expect(grants.get('requests')).toMatchObject({ granted: left + 1, validForMs: 600 })
  })

  it('asks for each demand where the node does not say what grants depend on', async () => {
    const stage = createStage()
    stage.nodes.mode = 'no-shape'
    await chargeMany(stage, 'ann', 10)
    expect(stage.nodes.asked).toHaveLength(10)
    expect(stage.pools.size).toBe(0)
  })

  it('learns from what was asked along with a check', async () => {
    const stage = createStage()
    const { clock, nodes, pools } = stage
    for (let i = 0; i < 100; i++) {
      const demanded = call('ann')
      const { grants } = await asked(stage, demanded)
      pools.learn(demanded, grants)
      await clock.advance(1)
    }
    expect(await charge(stage, call('ann'))).toBe(1)
    expect(nodes.asked.at(-1)?.quotas?.get('requests')?.amount).toBe(10)
    expect(nodes.asked.at(-1)?.quotasOnly).toBe(true)
  })
})

describe('pools and the config of nodes', () => {
  it('takes nothing from a pool of another config', async () => {
    const stage = createStage()
    await chargeMany(stage, 'ann', 100)
    const asked = stage.nodes.asked.length
    stage.nodes.config = 'c2'
    await charge(stage, call('ann', 1, { config: 'c2' }))
    expect(stage.nodes.asked.length).toBe(asked + 1)
    await chargeMany(stage, 'ann', 1)
    expect(stage.pools.size).toBe(2)
  })

  it('forgets a pool whose requests are charged by other rules now', async () => {
    const stage = createStage()
    await chargeMany(stage, 'ann', 100)
    stage.nodes.scope = 'other rules'
    await chargeMany(stage, 'ann', 100)
    const grants = await stage.pools.charge(call('ann'), stage.clock.monotonic())
    expect(grants.get('requests')?.shape?.scope).toBe('other rules')
    expect(stage.pools.size).toBe(1)
  })

  it('has no more pools than it may, and keeps those that are used', async () => {
    const stage = createStage(PLENTY, { maxPools: 10 })
    for (let i = 0; i < 100; i++) {
      await charge(stage, call(`user ${i}`))
      await charge(stage, call('ann'))
      await stage.clock.advance(1)
    }
    expect(stage.pools.size).toBe(10)
    const asked = stage.nodes.asked.length
    await charge(stage, call('ann'))
    expect(stage.nodes.asked.length - asked).toBeLessThanOrEqual(1)
    expect(stage.nodes.asked.length).toBeLessThan(150)
  })

  it('forgets those that nobody uses', async () => {
    const stage = createStage(PLENTY, { idleMs: 1_000 })
    for (let i = 0; i < 20; i++) await charge(stage, call(`user ${i}`))
    const { bytes } = stage.pools
    await stage.clock.advance(2_000)
    for (let i = 0; i < 60; i++) await charge(stage, call(`other ${i % 3}`))
    expect(stage.pools.size).toBeLessThan(20)
    expect(stage.pools.bytes).toBeLessThan(bytes)
  })

  it('has no more bytes than it may', async () => {
    const stage = createStage(PLENTY, { maxBytes: 200_000 })
    for (let i = 0; i < 500; i++) await charge(stage, call(`${'x'.repeat(500)}${i}`))
    expect(stage.pools.bytes).toBeLessThanOrEqual(200_000)
    expect(stage.pools.size).toBeGreaterThan(50)
  })
})

describe('quotas of retried requests', () => {
  const retried = (more = {}) => call('ann', 1, { deduplicationId: 'id-1', ...more })

  it('are charged once', async () => {
    const stage = createStage({ rate: 1, burst: 1, validForMs: 1_000 })
    expect(await charge(stage, retried())).toBe(1)
    expect(await charge(stage, retried())).toBe(1)
    expect(stage.nodes.granted).toBe(1)
    await stage.clock.advance(60_000)
    await charge(stage, retried())
    expect(stage.nodes.granted).toBe(2)
  })

  it('are charged once where they come at once', async () => {
    const stage = createStage()
    stage.nodes.latencyMs = 10
    const both = Promise.all([charge(stage, retried()), charge(stage, retried())])
    await stage.clock.advance(10)
    expect(await both).toEqual([1, 1])
    expect(stage.nodes.granted).toBe(1)
  })

  it('are charged once where the first try was asked along with a check', async () => {
    const stage = createStage()
    const { grants } = await asked(stage, retried())
    stage.pools.learn(retried(), grants)
    expect(await charge(stage, retried())).toBe(1)
    expect(stage.nodes.granted).toBe(1)
    expect(await stage.pools.decided(retried(), 0)).toEqual(grants)
  })

  it('are no retries of others that have chosen the same id', async () => {
    const stage = createStage({ rate: 1, burst: 5, validForMs: 1_000 })
    expect(await charge(stage, retried())).toBe(1)
    const other = call('bob', 1, { deduplicationId: 'id-1' })
    expect(await stage.pools.decided(other, 0)).toEqual(new Map())
    expect(await charge(stage, other)).toBe(1)
    expect(stage.nodes.granted).toBe(2)
    expect(await charge(stage, other)).toBe(1)
    expect(stage.nodes.granted).toBe(2)
  })

  it('are tried again where the first try failed', async () => {
    const stage = createStage()
    stage.nodes.mode = 'fails'
    expect(await charge(stage, retried())).toBe('BACKEND_FAILED')
    stage.nodes.mode = 'answers'
    expect(await charge(stage, retried())).toBe(1)
    expect(stage.nodes.asked.map(({ deduplicationId }) => deduplicationId)).toEqual(['id-1', 'id-1'])
  })

  it('are charged for what was not named before', async () => {
    const stage = createStage()
    await charge(stage, retried())
    const demands = new Map([...retried().demands, ['others', { amount: 2, bestEffort: false }]])
    const grants = await stage.pools.charge(retried({ demands }), 0)
    expect([...grants].map(([name, { granted }]) => [name, granted])).toEqual([
      ['requests', 1],
      ['others', 2],
    ])
    expect(stage.nodes.asked.at(-1)?.quotas?.has('requests')).toBe(false)
  })
})
