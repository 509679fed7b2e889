// What a request brought stands; generated attributes only fill what it lacks.

import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { explainCheck } from '../../src/policy/explain.ts'
import { ReportDispatcher } from '../../src/policy/report-dispatch.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { compilePolicy, document, ip, start } from './policy-node.ts'

const handler = (name: string, compiledAdapter: string, params: object = {}) =>
  document({ kind: 'handler', name, spec: { compiledAdapter, params } })
const instance = (name: string, compiledTemplate: string, params: object = {}) =>
  document({ kind: 'instance', name, spec: { compiledTemplate, params } })
const rule = (name: string, to: string, instances: string, match?: string) =>
  document({
    kind: 'rule',
    name,
    spec: { ...(match === undefined ? {} : { match }), actions: [{ handler: to, instances: [instances] }] },
  })

function generator(name: string, bindings: Readonly<Record<string, string>>): string {
  const params = { source_uid: 'source.uid | ""', source_ip: 'source.ip | ip("0.0.0.0")' }
  const spec = { compiledTemplate: 'kubernetes', params, attributeBindings: bindings }
  return document({ kind: 'instance', name, spec })
}

/** Istio's own, with defaults. */
const USUAL = [
  handler('pods', 'pods'),
  generator('attributes', {
    'source.ip': '$out.source_pod_ip | ip("0.0.0.0")',
    'source.uid': '$out.source_pod_uid | "unknown"',
    'source.namespace': '$out.source_namespace | "default"',
    'destination.namespace': '$out.destination_namespace | "default"',
    'source.workload.name': '$out.source_workload_name | "unknown"',
  }),
  rule('attributes', 'pods', 'attributes'),
]
const DENY = [handler('deny', 'denier'), instance('nothing', 'checknothing')]

describe('what the request brought', () => {
  it('is looked up in a blacklist', async () => {
    const blacklist = handler('bad', 'listchecker', {
      overrides: ['8.8.8.8'],
      entryType: 'IP_ADDRESSES',
      blacklist: true,
    })
    const node = await start(
      ...USUAL,
      blacklist,
      instance('ip', 'listentry', { value: 'source.ip' }),
      rule('bad', 'bad', 'ip'),
    )
    const { answer } = await node.check({ 'source.ip': ip('8.8.8.8') })
    expect(answer.status).toEqual({ code: 7, message: expect.stringContaining('8.8.8.8 is blacklisted') as string })
    expect((await node.check({ 'source.ip': ip('8.8.4.4') })).answer.status.code).toBe(0)
  })

  it('is looked up in a whitelist', async () => {
    const list = handler('good', 'listchecker', { overrides: ['8.8.8.8', '10.0.0.1'], entryType: 'IP_ADDRESSES' })
    const node = await start(
      ...USUAL,
      list,
      instance('ip', 'listentry', { value: 'source.ip' }),
      rule('good', 'good', 'ip'),
    )
    expect((await node.check({ 'source.ip': ip('8.8.8.8') })).answer.status.code).toBe(0)
    const generated = await node.check({ 'source.uid': 'kubernetes://web.shop' })
    expect(generated.answer.status.code).toBe(0)
    expect((await node.check({})).answer.status.message).toContain('0.0.0.0 is not whitelisted')
  })

  it.each([
    ['destination.namespace', 'shop'],
    ['source.namespace', 'evil'],
    ['source.uid', 'kubernetes://evil.shop'],
  ])('decides a rule on %s', async (name, value) => {
    const node = await start(...USUAL, ...DENY, rule('deny', 'deny', 'nothing', `${name} == "${value}"`))
    expect((await node.check({ [name]: value })).answer.status.code).toBe(9)
    expect((await node.check({ [name]: 'other' })).answer.status.code).toBe(0)
    expect((await node.check({})).answer.status.code).toBe(0)
  })

  it('is there to be generated from where it is absent', async () => {
    const node = await start(...USUAL, ...DENY, rule('deny', 'deny', 'nothing', 'source.namespace == "shop"'))
    expect((await node.check({ 'source.ip': ip('10.0.0.1') })).answer.status.code).toBe(9)
    const own = await node.check({ 'source.ip': ip('10.0.0.1'), 'source.namespace': '' })
    expect(own.answer.status.code).toBe(0)
  })

  it('chooses the quota', async () => {
    const limit = { quotas: [{ name: 'calls.instance.istio-system', maxAmount: 1, validDuration: '60s' }] }
    const node = await start(
      ...USUAL,
      handler('limits', 'memquota', limit),
      instance('calls', 'quota', { dimensions: { namespace: 'source.namespace' } }),
      rule('calls', 'limits', 'calls'),
    )
    const granted = async (namespace: string) => {
      const quotas = new Map([['calls', { amount: 1, bestEffort: false }]])
      const outcome = await node.check({ 'source.namespace': namespace }, { quotas })
      return outcome.quotas.get('calls')?.granted
    }
    expect([await granted('a'), await granted('b'), await granted('a')]).toEqual([1, 1, 0])
  })

  it('is what reports tell', async () => {
    const node = await start(
      ...USUAL,
      handler('log', 'stdio'),
      instance('line', 'logentry', { variables: { ip: 'source.ip', workload: 'source.workload.name' } }),
      rule('log', 'log', 'line'),
    )
    const dispatcher = new ReportDispatcher({
      clock: node.clock,
      random: () => 0,
      meter: new ReadableMeter(),
      log: new KeptLog(),
    })
    const [dispatched] = await dispatcher.dispatch(node.state(), MapBag.of({ 'source.ip': ip('8.8.8.8') }))
    expect(dispatched?.instance?.fields['variables']).toEqual({ ip: ip('8.8.8.8'), workload: 'unknown' })
  })

  it('is what explain shows, and only what was generated as generated', async () => {
    const node = await start(...USUAL, ...DENY, rule('deny', 'deny', 'nothing', 'source.namespace == "evil"'))
    const request = { 'source.ip': ip('10.0.0.1'), 'source.namespace': 'evil' }
    const told = await explainCheck(node.state(), MapBag.of(request), 1_000, {
      clock: node.clock,
      verdicts: { get: () => ({ error: new Error('not asked') as never }) },
    })
    expect(told).toMatchObject({
      generated: {
        'source.uid': 'kubernetes://web.shop',
        'source.workload.name': 'web',
        'destination.namespace': 'default',
      },
      rules: [{ rule: 'deny.rule.istio-system', matched: true }],
    })
    expect(Object.keys((told as { generated: object }).generated)).not.toContain('source.namespace')
  })
})

describe('several generators', () => {
  const deny = (workload: string) => [...DENY, rule('deny', 'deny', 'nothing', `source.workload.name == "${workload}"`)]
  const bindings = { 'source.workload.name': '$out.source_workload_name' }

  it.each([
    ['slow', 'quick'],
    ['quick', 'slow'],
  ])('give way to the first in rule order, whichever answers first: %s before %s', async (first, second) => {
    const node = await start(
      handler('slow', 'pods', { workload: 'slow', slow: true }),
      handler('quick', 'pods', { workload: 'quick' }),
      generator('names', bindings),
      rule('a', first, 'names'),
      rule('b', second, 'names'),
      ...deny(first),
    )
    expect((await node.check({ 'source.ip': ip('10.0.0.1') })).answer.status.code).toBe(9)
  })

  it('of rules in shadow mode give nothing', async () => {
    const shadow = rule('a', 'slow', 'names').replace(
      '"metadata":{',
      '"metadata":{"annotations":{"policy.intermix.dev/mode":"shadow"},',
    )
    const node = await start(
      handler('slow', 'pods', { workload: 'slow' }),
      handler('quick', 'pods', { workload: 'quick' }),
      generator('names', bindings),
      shadow,
      rule('b', 'quick', 'names'),
      ...deny('quick'),
    )
    expect((await node.check({ 'source.ip': ip('10.0.0.1') })).answer.status.code).toBe(9)
  })

  it('see the request alone, not what another one made', async () => {
    const node = await start(
      handler('pods', 'pods'),
      generator('a', { 'source.uid': '"kubernetes://web.shop"' }),
      generator('b', bindings),
      rule('a', 'pods', 'a'),
      rule('b', 'pods', 'b', '(source.uid | "none") == "none"'),
      ...deny('web'),
    )
    expect((await node.check({})).answer.status.code).toBe(0)
    expect((await node.check({ 'source.ip': ip('10.0.0.1') })).answer.status.code).toBe(9)
  })
})

describe('names in bindings', () => {
  const bound = (expression: string) => [
    handler('pods', 'pods'),
    generator('names', { 'destination.owner': expression }),
    rule('names', 'pods', 'names'),
    ...DENY,
    rule('deny', 'deny', 'nothing', 'destination.owner == "eve"'),
  ]

  it.each([
    ['of the request that begin as names of outputs do', 'output.owner', { 'output.owner': 'eve' }],
    ['of the request that look like what stands for $out', '_out.source_owner', { '_out.source_owner': 'eve' }],
  ])('are those %s', async (_, expression, request) => {
    const node = await start(...bound(expression))
    const ask = async (owner: string) => {
      const { answer } = await node.check({ ...request, [Object.keys(request)[0] as string]: owner })
      return [answer.status.code, answer.referenced.map(({ name, condition }) => `${name} ${condition}`)] as const
    }
    expect(await ask('bob')).toEqual([0, expect.arrayContaining([`${expression} EXACT`]) as string[]])
    expect((await ask('eve'))[0]).toBe(9)
    expect((await ask('bob'))[0]).toBe(0)
  })

  it('of outputs are never the request’s', async () => {
    const node = await start(...bound('$out.source_owner | "none"'))
    const forged = { '$out.source_owner': 'eve', '_out.source_owner': 'eve' }
    expect((await node.check(forged)).answer.status.code).toBe(0)
  })

  it('are warned of where they could be both', () => {
    const clash = `
apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: {name: more, namespace: istio-system}
spec: {attributes: {output.source_owner: {valueType: STRING}}}`
    const { problems } = compilePolicy(clash, ...bound('output.source_owner'))
    expect(problems.map(({ code, message }) => [code, message])).toEqual([
      ['ambiguous-output', expect.stringContaining('write "$out.source_owner"') as string],
    ])
    expect(compilePolicy(clash, ...bound('$out.source_owner')).problems).toEqual([])
  })
})
