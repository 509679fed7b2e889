// Rules as limits of what Envoy's rate limit filter describes, alone and beside the config of envoyproxy/ratelimit.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { formatProblem } from '../../src/kernel/problem.ts'
import type { DescriptorStatus, RateLimitAnswer, RateLimitDescriptor } from '../../src/kernel/rate-limit.ts'
import { explainCheck } from '../../src/policy/explain.ts'
import { DescriptorLimits } from '../../src/quota/descriptors/descriptor-limits.ts'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { RateLimitSources } from '../../src/quota/rate-limit-sources.ts'
import { domainsOf, entries } from '../quota/descriptors/domains.ts'
import { compilePolicy, goodPolicy, startNode } from './policy-node.ts'

interface RuleSpec {
  readonly name?: string
  readonly namespace?: string
  readonly match?: string
  readonly mode?: string
  readonly failPolicy?: string
  readonly adapter?: string
  readonly most?: number
  readonly window?: string
  readonly params?: object
}

/** A rule that lets `most` a minute pass of each API key. */
function rule({
  name = 'per-key',
  namespace = 'istio-system',
  match = '"api_key" in ratelimit.descriptor',
  adapter = 'quota',
  most = 2,
  window = '60s',
  params = { dimensions: { key: 'ratelimit.descriptor["api_key"]' } },
  ...settings
}: RuleSpec = {}): string {
  const quotas = [
    { name, ...(adapter === 'quota' ? { limits: [{ maxAmount: most, validDuration: window }] } : {}) },
  ].filter(() => adapter === 'quota')
  const actions = [{ handler: { adapter, params: { quotas } }, instances: [{ name, template: 'quota', params }] }]
  const spec = { match, ...settings, actions }
  return JSON.stringify({ apiVersion: 'intermix.dev/v1', kind: 'rule', metadata: { name, namespace }, spec })
}

async function serviceOf(rules: readonly string[], config = '') {
  const node = await startNode(goodPolicy(...rules))
  const { clock, meter } = node
  const found = config === '' ? new Map() : domainsOf(config)
  const domains = { domain: (name: string) => found.get(name), isEmpty: found.size === 0 }
  const limits = new MemoryLimits({ clock })
  const descriptors = new DescriptorLimits({ domains, limits: () => limits, clock, meter })
  const service = new RateLimitSources({ domains, descriptors, rules: node.ruleLimits })
  const ask = async (
    all: readonly RateLimitDescriptor[],
    { hitsAddend = 0, domain = 'shop' } = {},
  ): Promise<RateLimitAnswer> =>
    await service.shouldRateLimit({ domain, descriptors: all, hitsAddend }, { timeoutMs: 1_000 })
  return { node, ask, meter }
}

const of = (...texts: readonly string[]): RateLimitDescriptor => ({ entries: entries(...texts) })

const said = ({ isOver, statuses }: RateLimitAnswer) => [
  isOver ? 'OVER' : 'OK',
  ...statuses.map((each) => `${each.isOver ? 'over' : 'ok'} ${each.limit?.requestsPerUnit ?? '-'} ${each.remaining}`),
]

const inShort = (status: DescriptorStatus | undefined) =>
  `${status?.isOver} ${status?.limit?.requestsPerUnit} ${status?.limit?.unit} ${status?.remaining} ${status?.resetSeconds}`

describe('a rule that reads a descriptor', () => {
  it('limits each by its values, in order, and those that it does not read not at all', async () => {
    const { ask, node } = await serviceOf([rule()])
    const all = [of('path=/a'), of('api_key=bob', 'path=/a'), of('api_key=ann')]
    expect(said(await ask(all))).toEqual(['OK', 'ok - 0', 'ok 2 1', 'ok 2 1'])
    expect(said(await ask([of('api_key=ann')]))).toEqual(['OK', 'ok 2 0'])
    const answer = await ask(all)
    expect(said(answer)).toEqual(['OVER', 'ok - 0', 'ok 2 0', 'over 2 0'])
    expect(answer.nearest).toBe(answer.statuses[2])
    expect(answer.statuses[2]).toMatchObject({ limit: { name: 'per-key', unit: 'minute' } })
    expect(answer.statuses[2]?.resetSeconds).toBeGreaterThan(0)
    await node.clock.advance(121_000)
    expect(said(await ask([of('api_key=ann')]))).toEqual(['OK', 'ok 2 1'])
  })

  it('charges the hits of each descriptor, else those of the demand, and 0 looks', async () => {
    const { ask } = await serviceOf([rule({ most: 10 })])
    const key = of('api_key=ann')
    expect(said(await ask([key, { ...key, hitsAddend: 4 }], { hitsAddend: 3 }))).toEqual(['OK', 'ok 10 7', 'ok 10 3'])
    expect(said(await ask([{ ...key, hitsAddend: 0 }]))).toEqual(['OK', 'ok 10 3'])
    // What is refused is not counted.
    expect(said(await ask([{ ...key, hitsAddend: 5 }]))).toEqual(['OVER', 'over 10 0'])
    expect(said(await ask([{ ...key, hitsAddend: 3 }]))).toEqual(['OK', 'ok 10 0'])
  })

  it('charges what its instance says, of which a look charges nothing', async () => {
    const params = { dimensions: {}, amount: 'ratelimit.hits * 2' }
    const { ask } = await serviceOf([rule({ most: 10, params })])
    expect(said(await ask([of('api_key=a')], { hitsAddend: 3 }))).toEqual(['OK', 'ok 10 4'])
    expect(said(await ask([{ ...of('api_key=a'), hitsAddend: 0 }]))).toEqual(['OK', 'ok 10 4'])
  })

  it('has a unit only where its window is one', async () => {
    const { ask } = await serviceOf([rule({ window: '90s' })])
    expect((await ask([of('api_key=ann')])).statuses[0]?.limit).toMatchObject({ requestsPerUnit: 2, unit: undefined })
  })

  it('applies to the domain that its namespace is called like, or to all, or to those that it matches', async () => {
    const params = { dimensions: { domain: 'ratelimit.domain' } }
    const { ask, meter } = await serviceOf([
      rule({ namespace: 'shop', name: 'own', most: 3 }),
      rule({ name: 'some', match: 'ratelimit.domain == "bar" || ratelimit.domain == "shop"', most: 2, params }),
    ])
    const key = [of('api_key=ann')]
    expect(said(await ask(key))).toEqual(['OK', 'ok 2 1'])
    expect(said(await ask(key, { domain: 'bar' }))).toEqual(['OK', 'ok 2 1'])
    expect(said(await ask(key))).toEqual(['OK', 'ok 2 0'])
    expect(said(await ask(key, { domain: 'foo' }))).toEqual(['OK', 'ok - 0'])
    const nobody = await serviceOf([rule({ namespace: 'shop' })])
    expect(said(await nobody.ask(key, { domain: 'foo' }))).toEqual(['OK', 'ok - 0'])
    expect(nobody.meter.values.get('rate_limit_unknown_domains_total')).toBe(1)
    expect(meter.values.get('rate_limit_unknown_domains_total') ?? 0).toBe(0)
  })

  it('refuses nobody in shadow mode, and counts what it would have said', async () => {
    const { ask, meter } = await serviceOf([rule({ mode: 'shadow', most: 1 })])
    for (let each = 0; each < 3; each++) expect(said(await ask([of('api_key=ann')]))).toEqual(['OK', 'ok - 0'])
    expect(meter.values.get('shadow_verdicts_total per-key.rule.istio-system deny')).toBe(2)
  })

  it.each([
    ['closed', ['OVER', 'over - 0']],
    ['open', ['OK', 'ok - 0']],
  ])('whose handler has no answer does as its fail policy says: %s', async (failPolicy, expected) => {
    const { ask } = await serviceOf([rule({ failPolicy, adapter: 'redisquota' })])
    expect(said(await ask([of('api_key=ann')]))).toEqual(expected)
  })

  it('does not know which of two values of a key is meant, and so its fail policy decides', async () => {
    const { ask } = await serviceOf([rule()])
    expect(said(await ask([of('api_key=ann', 'api_key=bob')]))).toEqual(['OVER', 'over - 0'])
    expect(said(await ask([of('api_key=ann', 'generic_key=a', 'generic_key=b')]))).toEqual(['OK', 'ok 2 1'])
  })

  it('is no rule for checks, nor are those for checks limits of rates', async () => {
    const check = rule({ name: 'all', match: 'true', params: { dimensions: { path: 'request.path' } } })
    const { ask, node } = await serviceOf([rule(), check])
    for (let each = 0; each < 2; each++) expect((await node.check({ 'request.path': '/' })).answer.status.code).toBe(0)
    expect((await node.check({ 'request.path': '/' })).answer.status.code).toBe(8)
    expect(said(await ask([of('path=/a')]))).toEqual(['OK', 'ok - 0'])
  })
})

describe('rules beside the config of envoyproxy/ratelimit', () => {
  const config = (most: number) =>
    `{domain: shop, descriptors: [{key: api_key, rate_limit: {unit: hour, requests_per_unit: ${most}}}, {key: free, rate_limit: {unlimited: true}}]}`

  it('are charged beside it, and the stricter of the two answers each descriptor', async () => {
    const { ask } = await serviceOf([rule({ most: 3 })], config(2))
    const all = [of('free=1'), of('api_key=ann')]
    expect(said(await ask(all))).toEqual(['OK', `ok - ${2 ** 32 - 1}`, 'ok 2 1'])
    expect(said(await ask(all))).toEqual(['OK', `ok - ${2 ** 32 - 1}`, 'ok 2 0'])
    const answer = await ask(all)
    expect(said(answer)).toEqual(['OVER', `ok - ${2 ** 32 - 1}`, 'over 2 0'])
    expect(answer.nearest?.limit).toMatchObject({ unit: 'hour' })
    const other = await serviceOf([rule({ most: 2 })], config(50))
    for (let each = 0; each < 2; each++) await other.ask(all)
    expect(said(await other.ask(all))).toEqual(['OVER', `ok - ${2 ** 32 - 1}`, 'over 2 0'])
  })

  it('leave the metadata that the config has for a limit, whichever of the two is told', async () => {
    const text = config(50).replace('}}, {key: free', '}, metadata: {tier: paid}}, {key: free')
    const { ask } = await serviceOf([rule({ most: 1 })], text)
    const told = async () => (await ask([of('api_key=ann')])).statuses[0]
    const limit = { requestsPerUnit: 1, metadata: new Map([['tier', 'paid']]) }
    expect(await told()).toMatchObject({ isOver: false, limit })
    expect(await told()).toMatchObject({ isOver: true, limit })
  })

  it('answer each descriptor as the stricter of the two would alone', async () => {
    const key = fc.constantFrom('api_key=ann', 'api_key=bob', 'path=/a', 'free=1')
    const described = fc.record({ entry: key, hitsAddend: fc.option(fc.nat(3), { nil: undefined }) })
    const demands = fc.array(fc.array(described, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(
        demands,
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 8 }),
        async (all, one, two) => {
          const rules = await serviceOf([rule({ most: one })])
          const domain = await serviceOf([rule({ match: 'true', params: { dimensions: {} } })], config(two))
          const both = await serviceOf([rule({ most: one })], config(two))
          for (const demand of all) {
            const descriptors = demand.map(({ entry, hitsAddend }) => ({
              ...of(entry),
              ...(hitsAddend === undefined ? {} : { hitsAddend }),
            }))
            const [ruled, configured, joined] = [
              await rules.ask(descriptors),
              await domain.ask(descriptors),
              await both.ask(descriptors),
            ]
            expect(joined.isOver).toBe(ruled.isOver || configured.isOver)
            for (const [at, status] of joined.statuses.entries()) {
              const alone = [ruled.statuses[at], configured.statuses[at]]
              const told = alone.filter((each) => each?.limit !== undefined)
              expect(status.isOver).toBe(alone.some((each) => each?.isOver))
              if (told.length > 0) expect(status.remaining).toBe(Math.min(...told.map((each) => each?.remaining ?? 0)))
              expect(alone.map(inShort)).toContain(inShort(status))
            }
          }
        },
      ),
      { numRuns: 20 },
    )
  })

  it('limit a domain that it does not know', async () => {
    const { ask } = await serviceOf([rule({ most: 1 })], config(2))
    await ask([of('api_key=ann')], { domain: 'other' })
    expect(said(await ask([of('api_key=ann')], { domain: 'other' }))).toEqual(['OVER', 'over 1 0'])
  })

  it('are charged nothing where it has no answer', async () => {
    const { ask } = await serviceOf([rule({ most: 1 })], config(2))
    const noUnit = { ...of('api_key=ann'), limit: { requestsPerUnit: 1, unit: undefined } }
    await expect(ask([noUnit])).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    await expect(ask([{ entries: [] }])).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    await expect(ask([])).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    await expect(ask([of('api_key=ann')], { domain: '' })).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    expect(said(await ask([of('api_key=ann')]))).toEqual(['OK', 'ok 1 0'])
  })

  it('are missed where there are neither', async () => {
    const { ask } = await serviceOf([rule({ match: 'true', params: { dimensions: {} } })])
    await expect(ask([of('api_key=ann')])).rejects.toThrow('this node has no rate limits')
  })
})

describe('people', () => {
  it('can have a rate limit explained', async () => {
    const { node } = await serviceOf([rule({ namespace: 'shop' }), rule({ name: 'other', match: 'true', params: {} })])
    const { clock, verdicts } = node
    const demand = MapBag.of({ 'ratelimit.domain': 'shop', 'ratelimit.descriptor': new Map([['api_key', 'ann']]) })
    const told = await explainCheck(node.state(), demand, 1_000, { clock, verdicts })
    expect(told).toMatchObject({
      rules: [
        {
          rule: 'per-key.rule.shop',
          matched: true,
          actions: [{ verdict: 'allow', fields: { dimensions: { key: 'ann' } }, limits: [{ left: 2 }] }],
        },
      ],
      count: { rules: 1, candidates: 1 },
    })
  })

  it('are told what a rule of rate limits can never do or read', () => {
    const document = JSON.parse(rule({ match: 'ratelimit.descriptor["a"] == request.path' })) as {
      spec: { actions: object[] }
    }
    const deny = { handler: { adapter: 'denier', params: {} }, instances: [{ name: 'no', template: 'checknothing' }] }
    document.spec.actions.push(deny)
    const told = (...documents: string[]) => compilePolicy(...documents).problems.map(formatProblem)
    expect(told(rule())).toEqual([])
    const doubts = told(JSON.stringify(document)).join('\n')
    expect(doubts).toContain('"no.instance.istio-system" never come about')
    expect(doubts).toContain('"request.path" is absent where a rate limit is asked for')
  })
})
