// Policy built from plain options: what doors ask of it, quotas apart from checks among it.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createPolicy, type Policy } from '../../src/compose/policy.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import type { PolicyState } from '../../src/policy/handler-table.ts'
import { type Attributes, document, goodPolicy, type PolicyNode, startPolicy } from '../policy/policy-node.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

const LIMIT = { name: 'calls.instance.istio-system', maxAmount: 5, validDuration: '60s' }
const CONFIG = [
  { kind: 'handler', name: 'counter', spec: { compiledAdapter: 'memquota', params: { quotas: [LIMIT] } } },
  {
    kind: 'instance',
    name: 'calls',
    spec: { compiledTemplate: 'quota', params: { dimensions: { path: 'request.path' } } },
  },
  {
    kind: 'rule',
    name: 'limit',
    spec: { match: 'request.method == "GET"', actions: [{ handler: 'counter', instances: ['calls'] }] },
  },
  { kind: 'handler', name: 'deny', spec: { compiledAdapter: 'denier' } },
  { kind: 'instance', name: 'nothing', spec: { compiledTemplate: 'checknothing' } },
  {
    kind: 'rule',
    name: 'closed',
    spec: { match: 'request.path == "/closed"', actions: [{ handler: 'deny', instances: ['nothing'] }] },
  },
].map(document)

let node: PolicyNode
let policy: Policy
let state: PolicyState | undefined

beforeEach(async () => {
  node = await startPolicy(goodPolicy(...CONFIG))
  state = node.state()
  policy = createPolicy({
    clock: node.clock,
    random: () => 0.5,
    log: new KeptLog(),
    meter: new ReadableMeter(),
    mesh: undefined,
    revocationLink: undefined,
    prefix: 'test',
    nodeId: 'n',
    cache: { answers: true, verdicts: true, maxEntries: 100, maxBytes: 1_000_000, refreshesPerSecond: 1 },
    partitionMaxAgeMs: 1_000,
    normalizes: true,
    allowedAmbiguities: new Set(),
    state: () => state,
  })
  await policy.start()
})

afterEach(async () => {
  policy.stop()
  await node.stop()
})

const demands = (amount: number) => new Map([['calls', { amount, bestEffort: true }]])
const get = (path: string): Attributes => ({ 'request.method': 'GET', 'request.path': path })

async function charge(attributes: Attributes, amount: number, deduplicationId?: string) {
  const more = deduplicationId === undefined ? {} : { deduplicationId }
  const grants = await policy.quotas.charge(MapBag.of(attributes), demands(amount), { timeoutMs: 1_000, ...more })
  return grants.get('calls')
}

async function check(attributes: Attributes, amount: number) {
  return await policy.check.check(MapBag.of(attributes), { timeoutMs: 1_000, quotas: demands(amount) })
}

describe('quotas apart from checks', () => {
  it('are charged to the counters that checks charge', async () => {
    const { answer, quotas } = await check(get('/a'), 3)
    expect(answer.status.code).toBe(0)
    expect(quotas.get('calls')?.granted).toBe(3)
    expect((await charge(get('/a'), 5))?.granted).toBe(2)
    expect((await check(get('/a'), 1)).quotas.get('calls')?.granted).toBe(0)
    expect((await charge(get('/b'), 5))?.granted).toBe(5)
  })

  it('are charged whatever a check would say', async () => {
    const { answer, quotas } = await check(get('/closed'), 1)
    expect(answer.status.code).not.toBe(0)
    expect(quotas.size).toBe(0)
    expect((await charge(get('/closed'), 9))?.granted).toBe(5)
  })

  it('are limited by the rules that apply alone', async () => {
    expect((await charge({ ...get('/a'), 'request.method': 'PUT' }, 9))?.granted).toBe(9)
  })

  it('are charged once for a call and its retries', async () => {
    expect((await charge(get('/a'), 4, 'call'))?.granted).toBe(4)
    expect((await charge(get('/a'), 4, 'call'))?.granted).toBe(4)
    expect((await charge(get('/a'), 4, 'another'))?.granted).toBe(1)
  })

  it('see the spelling that checks see, and say what they read of the request', async () => {
    expect((await charge(get('/x/%61'), 4))?.granted).toBe(4)
    const grant = await charge(get('/x/a'), 4)
    expect(grant?.granted).toBe(1)
    expect(grant?.referenced.map(({ name }) => name)).toEqual(['request.method', 'request.path'])
    expect((await charge(get('/x/y/../a'), 1))?.granted).toBe(0)
    await expect(charge(get('/x%2Fa'), 1)).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  })

  it('are refused before there is a config', async () => {
    state = undefined
    await expect(charge(get('/a'), 1)).rejects.toMatchObject({ code: 'NOT_READY' })
  })
})

describe('policy without Redis', () => {
  it('voids answers by a value in any spelling', async () => {
    expect((await check(get('/x/%61'), 0)).answer.tier).toBe('backend')
    expect((await check(get('/x/a'), 0)).answer.tier).toBe('local')
    const receipt = await policy.revoke({ kind: 'attribute', name: 'request.path', key: undefined, value: '/x/%61' })
    expect(receipt).toMatchObject({ confirmed: ['n'], boundMs: 0 })
    expect((await check(get('/x/a'), 0)).answer.tier).toBe('backend')
    expect(policy.debug.get('cache')?.()).toMatchObject({ mesh: 'off', revocations: { sequence: 1, inTouch: true } })
  })
})
