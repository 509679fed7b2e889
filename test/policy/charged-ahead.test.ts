// What callers that keep answers pay for ahead of need, and who else may have what they were told.

import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { MAX_USES, type CheckOptions, type CheckOutcome } from '../../src/kernel/services.ts'
import { Code } from '../../src/kernel/status.ts'
import { NormalizingCheck } from '../../src/policy/normalizing-check.ts'
import { ReadableMeter } from '../redis/support.ts'
import { type Attributes, document, goodPolicy, startNode } from './policy-node.ts'

interface Quota {
  readonly name: string
  readonly amount?: string
  readonly deduplicationId?: string
  readonly accuracy?: string
  readonly limit?: object
}

const WINDOW = { maxAmount: 100, validDuration: '60s', rateLimitAlgorithm: 'FIXED_WINDOW' }

/** A rule charges each of the quotas for what lies under `/charged`. */
function policy(quotas: readonly Quota[], rules: readonly object[] = []) {
  const params = {
    quotas: quotas.map(({ name, accuracy = '50%', limit = WINDOW }) => ({ name, accuracy, limits: [limit] })),
  }
  const rule = (name: string, spec: object) =>
    JSON.stringify({ apiVersion: 'intermix.dev/v1', kind: 'rule', metadata: { name, namespace: 'istio-system' }, spec })
  return goodPolicy(
    document({ kind: 'handler', name: 'shared', spec: { compiledAdapter: 'quota', params } }),
    ...quotas.map(({ name, amount, deduplicationId }) => {
      const given = { ...(amount && { amount }), ...(deduplicationId && { deduplicationId }) }
      const dimensions = { who: 'request.headers["x-user"] | "nobody"' }
      return document({ kind: 'instance', name, spec: { compiledTemplate: 'quota', params: { dimensions, ...given } } })
    }),
    rule('charges', {
      match: 'request.path.startsWith("/charged")',
      actions: [{ handler: 'shared', instances: quotas.map(({ name }) => name) }],
    }),
    ...rules.map((spec, at) => rule(`more-${at}`, spec)),
  )
}

const by = (user: string, path = '/charged'): Attributes => ({
  'request.headers': new Map([['x-user', user]]),
  'request.path': path,
})
const KEEPING: Partial<CheckOptions> = { keepsAnswer: true, shape: true, references: false }
const asked = ({ shape }: CheckOutcome) => shape?.reads.map(({ question: { kind, name, key } }) => [kind, name, key])

async function start(...given: Parameters<typeof policy>) {
  const node = await startNode(policy(...given))
  const ask = (attributes: Attributes, options?: Partial<CheckOptions>) =>
    node.check(attributes, { ...KEEPING, ...options })
  /** How many further checks of one use are allowed. */
  const left = async (attributes: Attributes) => {
    for (let count = 0; count < 200; count++) if ((await node.check(attributes)).answer.status.code !== 0) return count
    return undefined
  }
  return { node, ask, left }
}

describe('an answer that pays for quotas', () => {
  it('pays for several uses at once, and says who else would be charged the same', async () => {
    const { ask, left } = await start([{ name: 'calls', amount: '2' }])
    const outcome = await ask(by('ann'), { uses: 5 })
    expect(outcome).toMatchObject({ isPaid: true, staleForMs: 0, answer: { status: { code: 0 }, validUses: 4 } })
    expect(outcome.answer.validForMs).toBeGreaterThan(0)
    expect(outcome.answer.validForMs).toBeLessThanOrEqual(1_000)
    expect(asked(outcome)).toEqual([
      ['predicate', 'request.path', undefined],
      ['key', 'request.headers', 'x-user'],
    ])
    expect(await left(by('ann'))).toBe(45)
    expect(await left(by('bob'))).toBe(50)
  })

  it('takes a share of what is left, and nothing ahead where little is', async () => {
    const { node, ask, left } = await start([{ name: 'calls' }])
    expect((await ask(by('ann'), { uses: MAX_USES })).answer.validUses).toBe(Math.floor(99 / 8))
    while ((await node.check(by('bob'))).answer.responseHeaders[1]?.value.includes('r=8;') === false);
    const last = await ask(by('bob'), { uses: 5 })
    expect(last).toMatchObject({ isPaid: true, shape: undefined, answer: { validUses: 0, validForMs: 0 } })
    expect(await left(by('bob'))).toBe(7)
  })

  it('ends with the window in which it was charged', async () => {
    const { node, ask } = await start([{ name: 'calls' }])
    await node.clock.advance(60_000 - (node.clock.now() % 60_000) - 300)
    const { answer } = await ask(by('ann'), { uses: 5 })
    expect(answer.validUses).toBe(4)
    expect(answer.validForMs).toBeLessThanOrEqual(300)
    await node.clock.advance(300 - 5)
    expect((await ask(by('ann'), { uses: 5 })).answer).toMatchObject({ validUses: 0, validForMs: 0 })
  })

  it.each<[string, Quota, Partial<CheckOptions>]>([
    ['for one use', { name: 'calls' }, {}],
    ['under an exact limit', { name: 'calls', accuracy: 'exact' }, { uses: 5 }],
    [
      'under a bucket that refills all the time',
      { name: 'calls', limit: { ...WINDOW, rateLimitAlgorithm: 'GCRA' } },
      { uses: 5 },
    ],
    ['with an id of its own', { name: 'calls', deduplicationId: 'request.path' }, { uses: 5 }],
    [
      'where the caller names quotas',
      { name: 'calls' },
      { uses: 5, quotas: new Map([['calls', { amount: 1, bestEffort: false }]]) },
    ],
    [
      'of what is in use',
      { name: 'calls', accuracy: 'exact', limit: { maxAmount: 100, rateLimitAlgorithm: 'ALLOCATION' } },
      { uses: 5 },
    ],
    ['by a caller that keeps nothing', { name: 'calls' }, { uses: 5, shape: false }],
  ])('is charged by itself %s', async (_, quota, options) => {
    const { ask, left } = await start([quota])
    const outcome = await ask(by('ann'), options)
    expect(outcome.shape).toBeUndefined()
    expect(outcome.answer.status.code).toBe(0)
    if (options.quotas === undefined) expect(outcome.answer.validUses).toBe(0)
    // Who has the same id has been charged already.
    expect(await left(by('ann'))).toBe(quota.deduplicationId === undefined ? 99 : undefined)
  })

  it('is charged by itself where several handlers charge, or it is seen in two ways', async () => {
    const fixed = { quotas: [{ name: 'calls', maxAmount: 100, validDuration: '60s' }] }
    const handler = { adapter: 'memquota', params: fixed }
    const { ask } = await start([{ name: 'calls' }], [{ match: 'true', actions: [{ handler, instances: ['calls'] }] }])
    expect(await ask(by('ann'), { uses: 5 })).toMatchObject({
      isPaid: true,
      shape: undefined,
      answer: { validUses: 0 },
    })
    const { node, left } = await start([{ name: 'calls' }])
    const check = new NormalizingCheck({ check: node.engine, allowed: new Set(), meter: new ReadableMeter() })
    const twofold = MapBag.of(by('ann', '/charged/x/../y'))
    const outcome = await check.check(twofold, { timeoutMs: 1_000, ...KEEPING, uses: 5 })
    expect(outcome).toMatchObject({ shape: undefined, answer: { status: { code: 0 }, validUses: 0 } })
    expect(await left(by('ann'))).toBe(99)
  })

  it('is what everybody may have where nothing is charged: none of the rules applies, or no rule is asked', async () => {
    const { ask, left } = await start([{ name: 'calls' }])
    const free = await ask(by('ann', '/free'), { uses: 5 })
    expect(free).toMatchObject({ isPaid: false, staleForMs: 600_000, answer: { validUses: 10_000 } })
    expect(asked(free)).toEqual([['predicate', 'request.path', undefined]])
    for (const charging of ['named', 'none'] as const) {
      const { isPaid, shape, answer } = await ask(by('ann'), { charging, uses: 5 })
      expect([isPaid, shape === undefined, answer.validUses > 9_000]).toEqual([false, false, true])
    }
    expect(await left(by('ann'))).toBe(100)
  })
})

describe('uses that were paid for and not used', () => {
  it('are given back, to the limit that they were taken from', async () => {
    const { node, ask, left } = await start([{ name: 'calls', amount: '2' }])
    await node.clock.advance(60_000 - (node.clock.now() % 60_000) + 10_000)
    expect((await ask(by('ann'), { uses: 10 })).answer.validUses).toBe(6)
    expect((await ask(by('ann'), { uses: -6 })).answer).toMatchObject({ status: { code: 0 }, validForMs: 0 })
    expect(await left(by('ann'))).toBe(49)
  })

  it('are given back by no check that paid for none', async () => {
    const { node, ask, left } = await start([{ name: 'calls' }])
    await node.clock.advance(60_000 - (node.clock.now() % 60_000) + 10_000)
    await node.check(by('ann'))
    await ask(by('ann'), { uses: -1, charging: 'named' })
    await ask(by('ann', '/free'), { uses: -1 })
    await ask(by('bob'), { uses: -1 })
    expect(await left(by('ann'))).toBe(99)
  })
})

describe('a refusal', () => {
  it('may be given again for a moment to all that would be charged the same', async () => {
    const { ask, left } = await start([{ name: 'calls', accuracy: 'exact' }])
    await left(by('ann'))
    const outcome = await ask(by('ann'), { uses: 5 })
    expect(outcome).toMatchObject({
      isPaid: false,
      staleForMs: 0,
      answer: { status: { code: Code.RESOURCE_EXHAUSTED }, validForMs: 100, validUses: 10_000 },
    })
    expect(asked(outcome)).toContainEqual(['key', 'request.headers', 'x-user'])
    expect((await ask(by('bob'))).answer.status.code).toBe(0)
  })

  it('ends when the limit has room again', async () => {
    const { node, ask, left } = await start([{ name: 'calls' }])
    await left(by('ann'))
    await node.clock.advance(60_000 - (node.clock.now() % 60_000) - 40)
    expect((await ask(by('ann'))).answer.validForMs).toBeLessThanOrEqual(40)
  })

  it('is asked again each time where somebody may give back', async () => {
    const limit = { maxAmount: 2, rateLimitAlgorithm: 'ALLOCATION' }
    const { ask, left } = await start([{ name: 'calls', accuracy: 'exact', limit }])
    await left(by('ann'))
    const { answer, shape } = await ask(by('ann'))
    expect([answer.status.code, answer.validForMs, shape]).toEqual([Code.RESOURCE_EXHAUSTED, 0, undefined])
  })
})

describe('a grant of a named quota', () => {
  const named = (amount: number) => new Map([['calls', { amount, bestEffort: false }]])

  it('says who shares it, and for how long it may be held', async () => {
    const { node } = await start([{ name: 'calls' }])
    const charge = async (attributes: Attributes, amount = 1) => {
      const grants = await node.quotas.charge(MapBag.of(attributes), named(amount), { timeoutMs: 1_000, shape: true })
      return grants.get('calls')
    }
    const grant = await charge(by('ann'), 5)
    expect(grant).toMatchObject({ status: { code: 0 }, granted: 5 })
    expect(grant?.validForMs).toBeLessThanOrEqual(1_000)
    const { scope, reads } = grant?.shape ?? {}
    expect(reads?.map(({ question }) => [question.name, question.key])).toEqual([
      ['request.path', undefined],
      ['request.headers', 'x-user'],
    ])
    const check = await node.check(by('ann'), { ...KEEPING, charging: 'named' })
    expect(check.shape?.scope).not.toBe(scope)
    // Nobody limits it for this path: then there is enough for all.
    expect(await charge(by('ann', '/free'), 7)).toMatchObject({ granted: 7, validForMs: 60_000, shape: { scope } })
    const refused = await charge(by('ann'), 1_000)
    expect(refused).toMatchObject({ status: { code: Code.RESOURCE_EXHAUSTED }, granted: 0 })
    expect(refused?.shape).toBeUndefined()
    await charge(by('ann'), 95)
    expect(await charge(by('ann'))).toMatchObject({ granted: 0, validForMs: 100, shape: { scope } })
  })

  it.each([
    ['of what is in use', { limit: { maxAmount: 100, rateLimitAlgorithm: 'ALLOCATION' }, accuracy: 'exact' }],
    ['with an id of its own', { deduplicationId: 'request.path' }],
    ['under an exact limit', { accuracy: 'exact' }],
  ])('is for its own request %s', async (_, quota) => {
    const { node } = await start([{ name: 'calls', ...quota }])
    const grants = await node.quotas.charge(MapBag.of(by('ann')), named(1), { timeoutMs: 1_000, shape: true })
    expect(grants.get('calls')).toMatchObject({ granted: 1 })
    expect(grants.get('calls')?.shape).toBeUndefined()
  })
})
