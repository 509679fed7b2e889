// Which rule grants a quota, and what is granted where it is unknown whether one does or its handler fails.

import { afterEach, describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { grantQuota } from '../../src/policy/quota.ts'
import { quotaNames } from '../../src/policy/quota-engine.ts'
import { type Attributes, document, goodPolicy, type PolicyNode, startPolicy } from './policy-node.ts'

const limit = (name: string, maxAmount: number) => ({
  name: `${name}.instance.istio-system`,
  maxAmount,
  validDuration: '60s',
})
const HANDLERS = [
  { kind: 'handler', name: 'few', spec: { compiledAdapter: 'memquota', params: { quotas: [limit('calls', 3)] } } },
  { kind: 'handler', name: 'many', spec: { compiledAdapter: 'memquota', params: { quotas: [limit('calls', 7)] } } },
  // There is no Redis here, so it fails.
  { kind: 'handler', name: 'broken', spec: { compiledAdapter: 'redisquota', params: { quotas: [limit('calls', 5)] } } },
  {
    kind: 'instance',
    name: 'calls',
    spec: { compiledTemplate: 'quota', params: { dimensions: { path: 'request.path | "none"' } } },
  },
  {
    kind: 'instance',
    name: 'undefinable',
    spec: { compiledTemplate: 'quota', params: { dimensions: { uid: 'source.uid' } } },
  },
].map(document)

let node: PolicyNode | undefined

afterEach(async () => {
  await node?.stop()
  node = undefined
})

interface Rule {
  readonly match?: string
  readonly handler: string
  readonly instance?: string
  readonly failPolicy?: string
}

async function quotas(rules: Readonly<Record<string, Rule>>) {
  const documents = Object.entries(rules).map(
    ([name, { match = 'true', handler, instance = 'calls', failPolicy = 'closed' }]) =>
      JSON.stringify({
        apiVersion: 'intermix.dev/v1',
        kind: 'rule',
        metadata: { name, namespace: 'istio-system' },
        spec: { match, failPolicy, actions: [{ handler, instances: [instance] }] },
      }),
  )
  const started = await startPolicy(goodPolicy(...HANDLERS, ...documents))
  node = started
  const { snapshot, handlers } = started.state()
  return (
    attributes: Attributes,
    amount = 10,
    more: { name?: string; bestEffort?: boolean; handlers?: typeof handlers } = {},
  ) =>
    grantQuota(
      { name: 'calls', amount, bestEffort: true, deduplicationId: '', ...more },
      snapshot.rules,
      MapBag.of(attributes),
      {
        handlers: more.handlers ?? handlers,
        deadline: started.clock.monotonic() + 1_000,
        known: quotaNames(snapshot),
      },
    )
}

describe('a quota', () => {
  it('is granted by the first rule that matches and names it', async () => {
    const grant = await quotas({ a: { match: 'request.path == "/a"', handler: 'few' }, b: { handler: 'many' } })
    expect(await grant({ 'request.path': '/a' })).toMatchObject({ status: { code: 0 }, granted: 3 })
    expect(await grant({ 'request.path': '/b' })).toMatchObject({ status: { code: 0 }, granted: 7 })
    expect(await grant({ 'request.path': '/a' }, 10, { bestEffort: false })).toMatchObject({
      status: { code: 8 },
      granted: 0,
    })
  })

  it('goes by its short or its full name, in any case', async () => {
    const grant = await quotas({ a: { handler: 'few' } })
    for (const [i, name] of ['calls', 'CALLS', 'Calls.Instance.istio-SYSTEM'].entries())
      expect(await grant({ 'request.path': `/${i}` }, 10, { name })).toMatchObject({ granted: 3 })
  })

  it('that no rule limits is granted in full for a minute', async () => {
    const grant = await quotas({ a: { match: 'request.path == "/a"', handler: 'few' } })
    const unlimited = { status: { code: 0 }, granted: 10, validForMs: 60_000 }
    expect(await grant({ 'request.path': '/b' })).toMatchObject(unlimited)
  })

  it('that nobody defined is an error, and nothing is granted', async () => {
    const grant = await quotas({ a: { handler: 'few' } })
    const status = { code: 3, message: 'no quota is named "call". Did you mean "calls"?' }
    expect(await grant({ 'request.path': '/a' }, 10, { name: 'call' })).toMatchObject({
      status,
      granted: 0,
      validForMs: 0,
    })
  })

  it('depends on what its matches and its instance read', async () => {
    const grant = await quotas({ a: { match: 'request.method == "GET"', handler: 'few' }, b: { handler: 'many' } })
    const { referenced } = await grant({ 'request.path': '/a', 'request.method': 'PUT' })
    expect(referenced.map(({ name }) => name).toSorted()).toEqual(['request.method', 'request.path'])
  })

  it.each([
    ['closed', 0],
    ['open', 10],
  ])(
    'of a handler that fails is as a fail policy that is %s has it, and for this once',
    async (failPolicy, granted) => {
      const grant = await quotas({ a: { handler: 'broken', failPolicy }, b: { handler: 'many' } })
      const { status, ...rest } = await grant({ 'request.path': '/a' })
      expect(rest).toMatchObject({ granted, validForMs: 0 })
      expect(status.code === 0).toBe(failPolicy === 'open')
      if (failPolicy === 'closed') expect(status.message).toMatch(/^broken\.handler\.istio-system:/)
    },
  )

  it('of an instance that cannot be filled, or of a handler that is not running, is a failure', async () => {
    const grant = await quotas({ a: { handler: 'few', instance: 'undefinable' }, b: { handler: 'few' } })
    const unfilled = await grant({}, 1, { name: 'undefinable' })
    expect(unfilled).toMatchObject({ granted: 0, validForMs: 0 })
    expect(unfilled.status.message).toContain('source.uid')
    const handlers = Object.assign(new Map(), { hold: <T>(pending: Promise<T>) => pending, retire: () => undefined })
    expect((await grant({ 'request.path': '/a' }, 1, { handlers })).status).toMatchObject({
      code: 13,
      message: expect.stringContaining('not running'),
    })
  })

  it.each([
    ['closed', 0, 7],
    ['open', 3, 0],
  ])(
    'whose rule may or may not match is, where its fail policy is %s, granted %d',
    async (failPolicy, granted, code) => {
      const grant = await quotas({
        a: { match: 'int(request.method) < 5', handler: 'few', failPolicy },
        b: { handler: 'many' },
      })
      const answer = await grant({ 'request.path': '/a', 'request.method': 'GET' })
      expect(answer).toMatchObject({ granted, status: { code } })
    },
  )
})
