// An explanation says what a check would do, and does it without charging or changing anything.

import { afterEach, describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { explainCheck } from '../../src/policy/explain.ts'
import { type Attributes, document, goodPolicy, outages, type PolicyNode, startPolicy } from './policy-node.ts'

const LIMIT = { name: 'calls.instance.istio-system', maxAmount: 5, validDuration: '60s' }
const object = (kind: string, name: string, spec: object) => document({ kind, name, spec })
const CONFIG = [
  object('handler', 'members', {
    compiledAdapter: 'listchecker',
    params: { overrides: ['ada'], cachingInterval: '30s' },
  }),
  object('handler', 'names', { compiledAdapter: 'naming' }),
  object('handler', 'deny', { compiledAdapter: 'denier', params: { status: { code: 7, message: 'closed' } } }),
  object('handler', 'counter', { compiledAdapter: 'memquota', params: { quotas: [LIMIT] } }),
  object('handler', 'cluster', { compiledAdapter: 'pods' }),
  object('instance', 'user', { compiledTemplate: 'listentry', params: { value: 'request.headers["x-user"]' } }),
  object('instance', 'nothing', { compiledTemplate: 'checknothing' }),
  object('instance', 'calls', { compiledTemplate: 'quota', params: { dimensions: { path: 'request.path' } } }),
  object('instance', 'pod', {
    compiledTemplate: 'kubernetes',
    params: { sourceUid: 'source.uid | ""' },
    attributeBindings: { 'source.workload.name': '$out.source_workload_name' },
  }),
  object('rule', 'a-pods', { actions: [{ handler: 'cluster', instances: ['pod'] }] }),
  object('rule', 'b-members', {
    match: 'request.path == "/members"',
    actions: [
      { handler: 'members', instances: ['user'] },
      { handler: 'counter', instances: ['calls'] },
    ],
  }),
  object('rule', 'c-closed', {
    match: 'request.path == "/closed"',
    actions: [{ handler: 'deny', instances: ['nothing'] }],
  }),
  object('rule', 'd-names', {
    match: 'request.path == "/members"',
    actions: [{ name: 'who', handler: 'names', instances: ['user'] }],
    requestHeaderOperations: [
      { name: 'x-owner', values: ['who.output.owner'] },
      { name: 'x-none', values: ['source.namespace'] },
    ],
  }),
  object('rule', 'e-workload', {
    match: 'source.workload.name == "batch"',
    actions: [{ handler: 'deny', instances: ['nothing'] }],
  }),
]

interface Told {
  readonly rules: readonly {
    readonly rule: string
    readonly matched: boolean | 'unknown'
    readonly because?: string
    readonly actions?: readonly object[]
    readonly whenAllowed?: object
  }[]
  readonly generated: object
  readonly unknown: object
  readonly read: readonly { readonly attribute: string }[]
}

let node: PolicyNode | undefined

afterEach(async () => {
  outages.clear()
  await node?.stop()
})

async function start() {
  const started = await startPolicy(goodPolicy(...CONFIG))
  node = started
  const { clock, verdicts } = started
  const explain = async (attributes: Attributes) => {
    const told = (await explainCheck(started.state(), MapBag.of(attributes), 1_000, { clock, verdicts })) as Told
    return { ...told, of: (name: string) => told.rules.find(({ rule }) => rule === `${name}.rule.istio-system`) }
  }
  return { node: started, explain }
}

const by = (user: string, path = '/members') => ({
  'request.path': path,
  'request.headers': new Map([['x-user', user]]),
  'source.uid': 'kubernetes://web.shop',
})

describe('an explanation', () => {
  it('has the verdicts that a check comes to, rule by rule', async () => {
    const { node, explain } = await start()
    for (const attributes of [by('ada'), by('eve'), by('eve', '/closed'), by('ada', '/open')]) {
      const { rules } = await explain(attributes)
      const actions = rules.flatMap(({ actions = [] }) => actions) as {
        verdict: string
        status?: { message: string }
      }[]
      const { answer } = await node.check(attributes)
      expect(actions.some(({ verdict }) => verdict === 'deny')).toBe(answer.status.code !== 0)
      const denial = actions.find(({ verdict }) => verdict === 'deny')
      if (denial !== undefined) expect(answer.status.message).toContain(denial.status?.message)
    }
  })

  it('shows instances as they were filled, and when verdicts end', async () => {
    const { node, explain } = await start()
    const told = await explain(by('eve'))
    expect(told.of('b-members')?.actions?.[0]).toMatchObject({
      handler: 'members.handler.istio-system',
      fields: { value: 'eve' },
      verdict: 'deny',
      status: { code: 'PERMISSION_DENIED', message: 'eve is not whitelisted' },
      tier: 'backend',
      freshUntil: new Date(node.clock.now() + 30_000).toISOString(),
    })
  })

  it('says how a quota stands, and charges none', async () => {
    const { node, explain } = await start()
    for (let i = 0; i < 10; i++) {
      const told = await explain(by('ada'))
      expect(told.of('b-members')?.actions?.[1]).toMatchObject({
        verdict: 'allow',
        amount: 1,
        limits: [{ name: 'calls', amount: 5, left: 5, windowMs: 60_000 }],
      })
    }
    const { quotas } = await node.check(by('ada'), { quotas: new Map([['calls', { amount: 5, bestEffort: false }]]) })
    expect(quotas.get('calls')?.granted).toBe(5)
    const usedUp = await explain(by('ada'))
    expect(usedUp.of('b-members')?.actions?.[1]).toMatchObject({ verdict: 'deny', because: 'calls has 0 left of 5' })
  })

  it('says why rules do not match: by what the request has, or lacks', async () => {
    const { explain } = await start()
    const { of } = await explain(by('ada', '/open'))
    expect(of('c-closed')).toMatchObject({ matched: false, because: 'request.path is "/open", not "/closed"' })
    const without = await explain({})
    expect(without.of('c-closed')).toMatchObject({ matched: false, because: 'request.path is absent, not "/closed"' })
  })

  it('names an instance that cannot be filled', async () => {
    const { explain } = await start()
    const { of } = await explain({ 'request.path': '/members' })
    expect(of('b-members')?.actions?.[0]).toMatchObject({
      verdict: 'unknown',
      because: expect.stringContaining('request.headers'),
    })
  })

  it('shows what is done to headers, and which have no value', async () => {
    const { explain } = await start()
    expect((await explain(by('ada'))).of('d-names')?.whenAllowed).toMatchObject({
      requestHeaders: [{ name: 'x-owner', value: 'ada' }, { name: 'x-none' }],
      withoutValue: ['x-none'],
    })
  })

  it('shows generated attributes, and those that a failed generator leaves unknown', async () => {
    const { explain } = await start()
    expect((await explain(by('ada'))).generated).toEqual({ 'source.workload.name': 'web' })
    outages.add('web')
    const told = await explain(by('ada'))
    expect(told.generated).toEqual({})
    expect(told.unknown).toEqual({ 'source.workload.name': expect.stringContaining('the cluster is away') })
    expect(told.of('e-workload')).toMatchObject({
      matched: 'unknown',
      because: expect.stringContaining('the cluster is away'),
    })
  })

  it('tells of each read once, with its key', async () => {
    const { explain } = await start()
    const { read } = await explain(by('ada'))
    expect(read).toContainEqual(
      expect.objectContaining({ attribute: 'request.headers', key: 'x-user', outcome: expect.anything() }),
    )
    expect(new Set(read.map((step) => JSON.stringify(step))).size).toBe(read.length)
  })
})
