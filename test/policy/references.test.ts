import { fromBinary } from '@bufbuild/protobuf'
// What an answer depended on: of the request that is answered, whoever's answer it was before.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import type { ReferencedAttribute } from '../../src/kernel/read-log.ts'
import type { Answer } from '../../src/kernel/verdict.ts'
import { isStringMap } from '../../src/kernel/value.ts'
import {
  ReferencedAttributes_Condition,
  ReferencedAttributesSchema,
} from '../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { encodeReferenced } from '../../src/wire/mixer/referenced-attributes.ts'
import { type WireReferenced, wouldReuse } from '../wire/mixer/client-model.ts'
import { type Attributes, document, goodPolicy, ip, type PolicyNode, startNode } from './policy-node.ts'

const GENERATED = [
  document({ kind: 'handler', name: 'pods', spec: { compiledAdapter: 'pods' } }),
  document({
    kind: 'instance',
    name: 'attributes',
    spec: {
      compiledTemplate: 'kubernetes',
      params: { source_uid: 'source.uid | ""', source_ip: 'source.ip | ip("0.0.0.0")' },
      attributeBindings: {
        'source.namespace': '$out.source_namespace | "default"',
        'source.labels': '$out.source_labels | emptyStringMap()',
        'source.workload.name': '$out.source_workload_name | request.method',
      },
    },
  }),
  document({ kind: 'rule', name: 'attributes', spec: { actions: [{ handler: 'pods', instances: ['attributes'] }] } }),
  document({ kind: 'handler', name: 'deny', spec: { compiledAdapter: 'denier' } }),
  document({ kind: 'instance', name: 'nothing', spec: { compiledTemplate: 'checknothing' } }),
]

const LIMITED = [
  document({
    kind: 'handler',
    name: 'limits',
    spec: {
      compiledAdapter: 'memquota',
      params: { quotas: [{ name: 'calls.instance.istio-system', maxAmount: 1, validDuration: '60s' }] },
    },
  }),
  document({
    kind: 'instance',
    name: 'calls',
    spec: { compiledTemplate: 'quota', params: { dimensions: { namespace: 'source.namespace' } } },
  }),
]

function deny(name: string, match: string): string {
  return document({ kind: 'rule', name, spec: { match, actions: [{ handler: 'deny', instances: ['nothing'] }] } })
}

async function start(documents: readonly string[], answers = true): Promise<PolicyNode> {
  return await startNode(goodPolicy(...documents), answers)
}

const told = ({ referenced }: Answer) =>
  referenced.map(({ name, key, condition }) => `${name}${key === undefined ? '' : `[${key}]`} ${condition}`)

/** Whether the request could be the one that the references are of. */
function fits(request: Attributes, { name, key, condition }: ReferencedAttribute): boolean {
  const value = request[name]
  if (key === undefined) return (value !== undefined) === (condition === 'EXACT')
  const entry = value !== undefined && isStringMap(value) ? value.get(key) : undefined
  return (entry !== undefined) === (condition === 'EXACT')
}

describe('the references of an answer', () => {
  it('are the second request’s where its answer is that of the first', async () => {
    const node = await start([...GENERATED, deny('ns', 'source.namespace == "shop" && request.path == "/a"')])
    const byUid = await node.check({ 'source.uid': 'kubernetes://web.shop', 'request.path': '/a' })
    const byIp = await node.check({ 'source.ip': ip('10.0.0.1'), 'request.path': '/a' })
    expect([byUid.answer.tier, byIp.answer.tier]).toEqual(['backend', 'local'])
    expect(told(byUid.answer)).toEqual([
      'request.path EXACT',
      'source.ip ABSENCE',
      'source.namespace ABSENCE',
      'source.uid EXACT',
    ])
    expect(told(byIp.answer)).toEqual([
      'request.path EXACT',
      'source.ip EXACT',
      'source.namespace ABSENCE',
      'source.uid ABSENCE',
    ])
  })

  it('are the second request’s also where it chose the same rules otherwise', async () => {
    const shop = deny('path', 'request.path == "/a"').replaceAll('istio-system', 'shop')
    const named = shop.replace('"deny"', '"deny.istio-system"').replace('"nothing"', '"nothing.istio-system"')
    const node = await start([...GENERATED, named])
    const absent = await node.check({})
    const other = await node.check({ 'destination.namespace': 'other' })
    expect([absent.answer.tier, other.answer.tier]).toEqual(['backend', 'local'])
    expect(told(absent.answer)).toContain('destination.namespace ABSENCE')
    expect(told(other.answer)).toContain('destination.namespace EXACT')
  })

  it('are none for a caller that has no use for them, and the others’ are the same', async () => {
    const node = await start([...GENERATED, deny('ns', 'source.namespace == "shop"')])
    const request = { 'source.ip': ip('10.0.0.1') }
    expect((await node.check(request, { references: false })).answer.referenced).toEqual([])
    const { answer } = await node.check(request)
    expect([answer.tier, ...told(answer)]).toEqual([
      'local',
      'source.ip EXACT',
      'source.namespace ABSENCE',
      'source.uid ABSENCE',
    ])
  })

  it('tell an empty key from the map', async () => {
    const node = await start([deny('key', 'request.headers[request.path] == "x"'), ...GENERATED.slice(-2)])
    const { answer } = await node.check({ 'request.headers': new Map([['a', 'x']]), 'request.path': '' })
    expect(told(answer)).toEqual(['request.headers EXACT', 'request.headers[] ABSENCE', 'request.path EXACT'])
  })

  it('of a quota hold what chose its rule', async () => {
    const rule = document({
      kind: 'rule',
      name: 'calls',
      spec: { actions: [{ handler: 'limits.istio-system', instances: ['calls.istio-system'] }] },
    }).replace('"namespace":"istio-system"', '"namespace":"shop"')
    const node = await start([...LIMITED, rule])
    const quotas = new Map([['calls', { amount: 1, bestEffort: false }]])
    const outcome = await node.check({ 'destination.namespace': 'other' }, { quotas })
    const referenced = outcome.quotas.get('calls')?.referenced ?? []
    expect(told({ ...outcome.answer, referenced })).toContain('destination.namespace EXACT')
  })

  it('of a quota hold what generating read, in place of what it made', async () => {
    const node = await start([
      ...GENERATED,
      ...LIMITED,
      document({ kind: 'rule', name: 'calls', spec: { actions: [{ handler: 'limits', instances: ['calls'] }] } }),
    ])
    const quotas = new Map([['calls', { amount: 1, bestEffort: false }]])
    const outcome = await node.check({ 'source.ip': ip('10.0.0.1') }, { quotas })
    const referenced = outcome.quotas.get('calls')?.referenced ?? []
    expect(told({ ...outcome.answer, referenced })).toEqual([
      'source.ip EXACT',
      'source.namespace ABSENCE',
      'source.uid ABSENCE',
    ])
  })
})

/** Requests of few attributes and values, those of generators, of headers and with names of outputs among them. */
const text = (...values: readonly string[]) => fc.constantFrom(...values)
const request: fc.Arbitrary<Attributes> = fc
  .record(
    {
      'source.ip': text('10.0.0.1', '8.8.8.8').map(ip),
      'source.uid': text('kubernetes://web.shop', 'kubernetes://gone.shop', ''),
      'source.namespace': text('shop', 'default', 'other'),
      'source.labels': text('web', 'db').map((app) => new Map([['app', app]])),
      'source.workload.name': text('web', 'GET'),
      'request.method': text('GET', 'PUT'),
      'request.path': text('/a', '/b'),
      'request.headers': fc
        .dictionary(text('x-user', 'x-none'), text('eve', 'bob'))
        .map((all) => new Map(Object.entries(all))),
      'llm.output.owner': text('eve', 'bob'),
      'output.owner': text('eve', 'bob'),
      '_out.source_owner': text('eve', 'bob'),
    },
    { requiredKeys: [] },
  )
  .map((values) => values as Attributes)

const HEADERS = [
  ...GENERATED,
  document({ kind: 'handler', name: 'naming', spec: { compiledAdapter: 'naming' } }),
  document({
    kind: 'instance',
    name: 'who',
    spec: { compiledTemplate: 'listentry', params: { value: '(request.headers["x-user"] | "nobody")' } },
  }),
  deny('eve', 'source.namespace == "other" && request.path == "/b"'),
  deny('label', 'source.labels["app"] == "db"'),
  document({
    kind: 'rule',
    name: 'names',
    spec: {
      actions: [{ handler: 'naming', instances: ['who'], name: 'whoami' }],
      requestHeaderOperations: [
        { name: 'x-owner', operation: 'REPLACE', values: ['llm.output.owner', 'whoami.output.owner'] },
        { name: 'x-tags', operation: 'APPEND', values: ['output.owner', '_out.source_owner', 'source.workload.name'] },
      ],
    },
  }),
]

const show = ({ status, requestHeaders }: Answer) =>
  `${status.code} ${requestHeaders.map(({ name, value, operation }) => `${operation} ${name}=${value}`).join(' ')}`

describe('an answer that was kept', () => {
  it('is that of no other caller, and its references fit the request', async () => {
    const kept = await start(HEADERS)
    const fresh = await start(HEADERS, false)
    const tiers = new Set<string>()
    await fc.assert(
      fc.asyncProperty(request, async (attributes) => {
        const { answer } = await kept.check(attributes)
        tiers.add(answer.tier)
        expect(show(answer)).toBe(show((await fresh.check(attributes)).answer))
        expect(answer.referenced.filter((reference) => !fits(attributes, reference))).toEqual([])
      }),
      { numRuns: 1_000 },
    )
    expect([...tiers].sort()).toEqual(['backend', 'local'])
  })

  it('is right for every request for which a Mixer client reuses it', async () => {
    const node = await start(HEADERS)
    const { vocabulary } = node.state().snapshot
    const kept: { attributes: Attributes; referenced: WireReferenced; shown: string }[] = []
    let reused = 0
    await fc.assert(
      fc.asyncProperty(request, async (attributes) => {
        const { answer } = await node.check(attributes)
        for (const known of kept) {
          if (!wouldReuse(known.attributes, known.referenced, attributes)) continue
          reused++
          expect(known.shown).toBe(show(answer))
        }
        const options = { globalWordCount: 222, vocabulary, bag: MapBag.of(attributes) }
        const { bytes, complete } = encodeReferenced(answer.referenced, options)
        if (!complete) return
        const message = fromBinary(ReferencedAttributesSchema, bytes)
        const matches = message.attributeMatches.map(({ name, mapKey, condition }) => ({
          name,
          mapKey,
          condition: condition === ReferencedAttributes_Condition.EXACT ? ('EXACT' as const) : ('ABSENCE' as const),
        }))
        const referenced = { words: message.words, matches }
        expect(wouldReuse(attributes, referenced, attributes)).toBe(true)
        kept.push({ attributes, referenced, shown: show(answer) })
      }),
      { numRuns: 1_000 },
    )
    expect(reused).toBeGreaterThan(20)
  })
})
