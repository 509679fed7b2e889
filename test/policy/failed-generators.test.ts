// What a failed generator would have added is unknown: the fail policy decides, never an absence or a default.

import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { Code } from '../../src/kernel/status.ts'
import { explainCheck } from '../../src/policy/explain.ts'
import { ReportDispatcher } from '../../src/policy/report-dispatch.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { type Attributes, document, outages, type PolicyNode, start } from './policy-node.ts'

afterEach(() => outages.clear())

const BINDINGS = {
  'source.namespace': '$out.source_namespace',
  'destination.namespace': '$out.destination_namespace | "default"',
  'source.labels': '$out.source_labels',
  'source.workload.name': '$out.source_workload_name',
}

/** Generators by handler and by rule, in the order of their names. */
function generator(workload: string, bindings: Readonly<Record<string, string>> = BINDINGS, match = '', params = {}) {
  const own = { source_uid: 'source.uid | ""', source_ip: 'source.ip | ip("0.0.0.0")', ...params }
  const instance = { compiledTemplate: 'kubernetes', params: own, attributeBindings: bindings }
  const actions = [{ handler: workload, instances: [workload] }]
  return [
    document({ kind: 'handler', name: workload, spec: { compiledAdapter: 'pods', params: { workload } } }),
    document({ kind: 'instance', name: workload, spec: instance }),
    document({ kind: 'rule', name: workload, spec: { ...(match === '' ? {} : { match }), actions } }),
  ]
}

const PODS = generator('web')
const REFUSE = {
  handler: { adapter: 'denier', params: { status: { code: Code.FAILED_PRECONDITION, message: 'refused' } } },
  instances: [{ template: 'checknothing' }],
}

function rule(name: string, match: string, more: object = {}, namespace = 'istio-system'): string {
  const spec = { ...(match === '' ? {} : { match }), actions: [REFUSE], ...more }
  return JSON.stringify({ apiVersion: 'intermix.dev/v1', kind: 'rule', metadata: { name, namespace }, spec })
}

const WEB: Attributes = { 'source.uid': 'kubernetes://web.shop', 'request.path': '/a' }

async function answer(node: PolicyNode, attributes: Attributes) {
  const { status, validForMs, validUses } = (await node.check(attributes)).answer
  return { code: status.code, isKept: validForMs > 0 && validUses > 0 }
}

/** Lets the guard forgive: it asks a backend that failed again after a while. */
async function recover(node: PolicyNode): Promise<void> {
  outages.clear()
  await node.clock.advance(10_000)
}

const KEPT = { code: Code.OK, isKept: true }
const DENIED = { code: Code.FAILED_PRECONDITION, isKept: true }
const UNKNOWN = { code: Code.UNAVAILABLE, isKept: false }

describe('a match that reads what a failed generator would have given', () => {
  it.each([
    ['CEXL', 'source.namespace == "shop"'],
    ['CEXL', '(source.namespace | "none") == "shop"'],
    ['CEXL', '(source.labels["app"] | "none") == "web"'],
    ['CEXL', 'source.labels["app"] == "web"'],
    ['CEXL', 'source.labels[request.path | "app"] != "x"'],
    ['CEXL', '(source.namespace | "none").startsWith("sh")'],
    ['CEL', 'source.namespace == "shop"'],
    ['CEL', 'has(source.namespace)'],
    ['CEL', 'pick(source.namespace, "none") == "shop"'],
    ['CEL', 'source.namespace != "" || false'],
    ['CEL', '"app" in source.labels'],
    ['CEL', 'has(source.labels.app)'],
    ['CEL', 'source.labels["app"] == "web"'],
    ['CEL', 'size(source.labels) > 0'],
    ['CEL', 'source.labels.exists(k, k == "app")'],
  ])('is unknown, and the fail policy decides: %s %s', async (lang, match) => {
    for (const matchFailure of ['unknown', 'noMatch']) {
      const closed = await start(...PODS, rule('deny', match, { lang, matchFailure }))
      const open = await start(...PODS, rule('deny', match, { lang, matchFailure, failPolicy: 'open' }))
      expect(await answer(closed, WEB)).toEqual(DENIED)
      outages.add('web')
      for (let i = 0; i < 2; i++) {
        expect(await answer(closed, WEB)).toEqual(UNKNOWN)
        expect(await answer(open, WEB)).toEqual({ code: Code.OK, isKept: false })
      }
      expect(closed.meter.value('rule_match_failures_total', 'deny.rule.istio-system', 'unknown')).toBe(2)
      expect(closed.meter.value('unknown_verdicts_total', 'deny.rule.istio-system', 'closed')).toBe(2)
      for (const node of [closed, open]) await recover(node)
      expect(await answer(open, WEB)).toEqual(DENIED)
      expect(await answer(closed, WEB)).toEqual(DENIED)
    }
  })

  it('says which attribute and which handler', async () => {
    const node = await start(...PODS, rule('deny', 'source.namespace == "shop"'))
    outages.add('web')
    expect((await node.check(WEB)).answer.status).toEqual({
      code: Code.UNAVAILABLE,
      message:
        'deny.rule.istio-system:match: source.namespace is unknown: web.handler.istio-system: the cluster is away',
    })
  })

  it('does not need what the request brought, or what the rest of the match decides', async () => {
    const node = await start(...PODS, rule('deny', 'request.path == "/a" && source.namespace == "shop"'))
    outages.add('web')
    expect(await answer(node, { ...WEB, 'request.path': '/b' })).toEqual(KEPT)
    expect(await answer(node, { ...WEB, 'request.path': '/b', 'source.namespace': 'shop' })).toEqual(KEPT)
    expect(await answer(node, { ...WEB, 'source.namespace': 'shop' })).toEqual(DENIED)
    expect(await answer(node, WEB)).toEqual(UNKNOWN)
  })

  it('is decided by the other side in CEL, and the answer is not kept', async () => {
    const node = await start(...PODS, rule('deny', 'source.namespace.startsWith("s") && request.path == "/b"'))
    outages.add('web')
    expect(await answer(node, WEB)).toEqual({ code: Code.OK, isKept: false })
  })

  it('does not find the answer that was kept while the attribute was absent', async () => {
    const node = await start(...PODS, rule('deny', '(source.namespace | "none") == "shop"', { lang: 'CEXL' }))
    const stranger = { 'source.uid': 'kubernetes://stranger' }
    expect(await answer(node, stranger)).toEqual(KEPT)
    outages.add('web')
    expect(await answer(node, stranger)).toEqual(UNKNOWN)
    await recover(node)
    expect(await answer(node, stranger)).toEqual(KEPT)
  })

  it('is unknown too where an index chooses among the rules', async () => {
    const names = ['shop', 'a', 'b', 'c', 'd', 'e', 'f', 'g']
    const rules = names.map((name) => rule(name, `source.namespace == "${name}" && request.path == "/a"`))
    const node = await start(...PODS, ...rules, rule('other', 'request.path == "/b"'))
    outages.add('web')
    expect(await answer(node, WEB)).toEqual(UNKNOWN)
    await recover(node)
    expect(await answer(node, WEB)).toEqual(DENIED)
  })

  it('is counted of rules in shadow mode, and decides nothing', async () => {
    const node = await start(...PODS, rule('deny', 'source.namespace == "shop"', { mode: 'shadow' }))
    outages.add('web')
    expect(await answer(node, WEB)).toEqual(KEPT)
    await Promise.resolve()
    expect(node.meter.value('shadow_verdicts_total', 'deny.rule.istio-system', 'unknown')).toBe(1)
    expect(node.meter.value('attribute_generation_failures_total')).toBe(1)
  })

  it('does not lift the limit of a quota', async () => {
    const limit = {
      handler: {
        adapter: 'memquota',
        params: { quotas: [{ name: 'calls.instance.istio-system', maxAmount: 1, validDuration: '60s' }] },
      },
      instances: [{ name: 'calls', template: 'quota', params: { dimensions: {} } }],
    }
    const quotas = new Map([['calls', { amount: 5, bestEffort: false }]])
    const grantOf = async (node: PolicyNode) => (await node.check(WEB, { quotas })).quotas.get('calls')
    const more = { actions: [limit], matchFailure: 'noMatch' }
    outages.add('web')
    const closed = await start(...PODS, rule('calls', 'source.namespace == "shop"', more))
    expect(await grantOf(closed)).toMatchObject({ granted: 0, validForMs: 0, status: { code: Code.UNAVAILABLE } })
    const open = await start(...PODS, rule('calls', 'source.namespace == "shop"', { ...more, failPolicy: 'open' }))
    expect(await grantOf(open)).toMatchObject({ granted: 0, validForMs: 0, status: { code: Code.RESOURCE_EXHAUSTED } })
  })
})

describe('a rule of a namespace that is unknown', () => {
  it('may apply or not, whatever its match', async () => {
    for (const match of ['', 'request.path == "/a"']) {
      const node = await start(
        ...PODS,
        rule('deny', match, {}, 'default'),
        rule('other', 'request.path == "/b"', {}, 'shop'),
      )
      expect(await answer(node, WEB)).toEqual(DENIED)
      outages.add('web')
      expect(await answer(node, WEB)).toEqual(UNKNOWN)
      expect(await answer(node, { ...WEB, 'destination.namespace': 'shop' })).toEqual(KEPT)
      await recover(node)
      expect(await answer(node, WEB)).toEqual(DENIED)
    }
  })

  it('does not concern requests that it does not match', async () => {
    const node = await start(...PODS, rule('deny', 'request.path == "/b"', {}, 'default'))
    outages.add('web')
    expect(await answer(node, WEB)).toEqual(KEPT)
  })

  it('is told neither by a kept answer of the namespace nor the other way round', async () => {
    const node = await start(...PODS, rule('deny', '', { failPolicy: 'open' }, 'default'))
    expect(await answer(node, WEB)).toEqual(DENIED)
    outages.add('web')
    expect(await answer(node, WEB)).toEqual({ code: Code.OK, isKept: false })
    await recover(node)
    expect(await answer(node, WEB)).toEqual(DENIED)
  })
})

describe('instances and header operations', () => {
  const list = { adapter: 'listchecker', params: { overrides: ['shop', 'none'] } }
  const look = (value: string) => ({
    actions: [{ handler: list, instances: [{ template: 'listentry', params: { value } }] }],
    lang: 'CEXL',
  })

  it('of a check give an unknown verdict, defaults or not', async () => {
    for (const value of ['source.namespace', 'source.namespace | "none"']) {
      const closed = await start(...PODS, rule('list', '', look(value)))
      const open = await start(...PODS, rule('list', '', { ...look(value), failPolicy: 'open' }))
      outages.add('web')
      expect(await answer(closed, WEB)).toEqual(UNKNOWN)
      expect((await closed.check(WEB)).answer.status.message).toContain('source.namespace is unknown')
      expect(await answer(open, WEB)).toEqual({ code: Code.OK, isKept: false })
      for (const node of [closed, open]) await recover(node)
      expect(await answer(closed, WEB)).toEqual(KEPT)
    }
  })

  it('of a header leave the value out, and the client’s own goes with it', async () => {
    const value = '(source.namespace | "none")'
    const operations = [
      { name: 'x-from', values: [value], operation: 'REPLACE' },
      { name: 'x-path', values: ['request.path'], operation: 'REPLACE' },
    ]
    const node = await start(
      ...PODS,
      rule('from', '', { actions: [], requestHeaderOperations: operations, lang: 'CEXL' }),
    )
    const headers = async () => {
      const { requestHeaders, validForMs } = (await node.check(WEB)).answer
      return [requestHeaders[0], validForMs > 0]
    }
    outages.add('web')
    expect(await headers()).toEqual([{ name: 'x-from', value: '', operation: 'REMOVE' }, false])
    expect(node.meter.value('header_values_missing_total', 'from.rule.istio-system', 'x-from')).toBe(1)
    await recover(node)
    expect(await headers()).toEqual([{ name: 'x-from', value: 'shop', operation: 'REPLACE' }, true])
  })
})

describe('what a generator fails by', () => {
  const deny = rule('deny', 'source.namespace == "shop"')
  const bound = (expression: string) => ({ 'source.namespace': expression })

  it('is not what is absent', async () => {
    const instance = { source_uid: 'request.headers["x-pod"]' }
    const node = await start(...generator('web', bound('$out.source_namespace'), '', instance), deny)
    expect(await answer(node, WEB)).toEqual(KEPT)
    expect(node.meter.value('attribute_generation_failures_total')).toBe(1)
  })

  it.each([
    ['its match', generator('web', bound('$out.source_namespace'), 'ip(request.path) == source.ip')],
    ['its instance', generator('web', bound('$out.source_namespace'), '', { source_ip: 'ip(request.path)' })],
    ['a binding', generator('web', { 'source.ip': 'ip($out.source_namespace)', ...bound('"x"') })],
  ])('may be %s', async (what, documents) => {
    const told = documents.map((text) =>
      text.replace(
        '"kind":"rule","metadata":{',
        '"kind":"rule","metadata":{"annotations":{"policy.intermix.dev/matchFailure":"unknown"},',
      ),
    )
    const match = what === 'a binding' ? 'source.ip == ip("10.0.0.1")' : 'source.namespace == "shop"'
    const node = await start(...told, rule('deny', match, { lang: 'CEXL' }))
    const { status, validForMs } = (await node.check(WEB)).answer
    expect(status.code).toBe(Code.PERMISSION_DENIED)
    expect(status.message).toMatch(
      /source\.\w+ is unknown: web\.handler\.istio-system: .*ip\((request\.path|\$out\.source_namespace)\)/,
    )
    expect(validForMs).toBe(0)
  })

  it('is made up for by another that has a value', async () => {
    const names = { 'source.workload.name': '$out.source_workload_name' }
    const node = await start(
      ...generator('first', names),
      ...generator('second', names),
      rule('deny', 'source.workload.name == "second"'),
    )
    outages.add('first')
    expect(await answer(node, WEB)).toEqual(DENIED)
    expect(await answer(node, {})).toEqual(UNKNOWN)
  })
})

describe('elsewhere', () => {
  it('a report goes without the attributes', async () => {
    const log = {
      handler: { adapter: 'stdio' },
      instances: [{ template: 'logentry', params: { variables: { from: 'pick(source.namespace, "none")' } } }],
    }
    const node = await start(...PODS, rule('log', '', { actions: [log] }))
    const meter = new ReadableMeter()
    const dispatcher = new ReportDispatcher({ clock: node.clock, random: () => 0, meter, log: new KeptLog() })
    outages.add('web')
    const [dispatched] = await dispatcher.dispatch(node.state(), MapBag.of(WEB))
    expect(dispatched?.instance?.fields['variables']).toEqual({ from: 'none' })
    expect(meter.value('attribute_generation_failures_total')).toBe(1)
  })

  it('a verdict that was revoked by any value of the attribute is asked for anew', async () => {
    const named = { handler: { adapter: 'naming' }, instances: [{ template: 'listentry', params: { value: '"a"' } }] }
    const node = await start(...PODS, rule('named', '', { actions: [named] }))
    await node.check(WEB)
    const target = { kind: 'attribute', name: 'source.namespace', key: undefined, value: 'shop' } as const
    const epoch = node.revocations.epoch
    node.revocations.apply({ sequence: 1, target })
    outages.add('web')
    expect((await node.check(WEB)).answer.tier).not.toBe('local')
    expect(node.revocations.allows(epoch, [], MapBag.of({ 'source.namespace': 'blog' }))).toBe(true)
  })

  it('explain tells what is unknown and why', async () => {
    const node = await start(
      ...PODS,
      rule('deny', 'source.namespace == "shop"'),
      rule('path', 'request.path == "/b" && source.namespace == "shop"'),
    )
    outages.add('web')
    const told = await explainCheck(node.state(), MapBag.of(WEB), 1_000, {
      clock: node.clock,
      verdicts: { get: () => ({ error: new Error('not asked') as never }) },
    })
    expect(told).toMatchObject({
      generated: {},
      unknown: { 'source.namespace': 'web.handler.istio-system: the cluster is away' },
      rules: [
        {
          rule: 'deny.rule.istio-system',
          matched: 'unknown',
          because: expect.stringContaining('source.namespace is unknown: web.handler.istio-system') as string,
        },
        { rule: 'path.rule.istio-system', matched: false, because: 'request.path is "/a", not "/b"' },
      ],
    })
  })
})

const terms = fc.constantFrom(
  'source.namespace == "shop"',
  'source.namespace == ""',
  'source.namespace != "shop"',
  'has(source.namespace)',
  'source.labels["app"] == "web"',
  '"app" in source.labels',
  'source.workload.name.startsWith("w")',
  'destination.namespace == "default"',
  'request.path == "/a"',
  'request.path == "/b"',
  'int(request.path) < 1',
)
const matches = fc
  .tuple(fc.array(terms, { minLength: 1, maxLength: 3 }), fc.constantFrom(' && ', ' || '))
  .map(([parts, operator]) => parts.join(operator))
const rules = fc.array(fc.tuple(matches, fc.constantFrom('istio-system', 'istio-system', 'default', 'shop')), {
  minLength: 1,
  maxLength: 9,
})

/** All that the generated attributes might be. */
const COMPLETIONS: readonly Attributes[] = ['shop', 'blog', ''].flatMap((space) =>
  ['default', 'shop'].flatMap((destination) =>
    [new Map<string, string>(), new Map([['app', 'web']])].map((labels) => ({
      ...(space === '' ? {} : { 'source.namespace': space }),
      'destination.namespace': destination,
      'source.labels': labels,
      'source.workload.name': space === 'shop' ? 'web' : 'other',
    })),
  ),
)

describe('an answer in spite of a failed generator', () => {
  it.each([
    ['closed', Code.OK],
    ['open', Code.FAILED_PRECONDITION],
  ])('is the one that any values would lead to: fail policy %s, code %i', async (failPolicy, definite) => {
    await fc.assert(
      fc.asyncProperty(rules, fc.constantFrom('/a', '/b', '/c'), async (texts, path) => {
        const made = texts.map(([match, namespace], i) => rule(`r${i}`, match, { failPolicy }, namespace))
        const node = await start(...PODS, ...made)
        const stranger = { 'source.uid': 'kubernetes://stranger', 'request.path': path }
        const codes: number[] = []
        for (const values of COMPLETIONS) codes.push((await answer(node, { ...stranger, ...values })).code)
        outages.add('web')
        const told = [await answer(node, stranger), await answer(node, stranger)]
        await recover(node)
        expect(told[0]).toEqual(told[1])
        if (told[0]?.code === definite || told[0]?.isKept === true) {
          expect(new Set(codes)).toEqual(new Set([told[0].code]))
        }
        if (new Set(codes).size > 1) expect(told[0]).toMatchObject({ isKept: false })
      }),
      { numRuns: 60 },
    )
  })
})
