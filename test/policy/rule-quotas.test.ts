// Quotas of rules limit every request, whether or not its caller knows of them.

import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { Code } from '../../src/kernel/status.ts'
import { NormalizingCheck } from '../../src/policy/normalizing-check.ts'
import { document, goodPolicy, startNode } from './policy-node.ts'

interface RuleSpec {
  readonly match?: string
  readonly failPolicy?: string
  readonly mode?: string
  readonly handler?: string
  readonly instance?: string
}

const memquota = (name: string, maxAmount: number) => ({
  kind: 'handler',
  name,
  spec: {
    compiledAdapter: 'memquota',
    params: { quotas: ['calls', 'bytes', 'known'].map((quota) => ({ name: quota, maxAmount, validDuration: '60s' })) },
  },
})

function policy(...rules: readonly RuleSpec[]) {
  return goodPolicy(
    ...[
      memquota('few', 3),
      memquota('fewer', 2),
      {
        kind: 'handler',
        name: 'shared',
        spec: {
          compiledAdapter: 'quota',
          params: {
            quotas: ['known', 'calls'].map((name) => ({ name, limits: [{ maxAmount: 3, validDuration: '60s' }] })),
          },
        },
      },
      { kind: 'handler', name: 'broken', spec: { compiledAdapter: 'redisquota', params: { quotas: [] } } },
      {
        kind: 'instance',
        name: 'calls',
        spec: { compiledTemplate: 'quota', params: { dimensions: { who: 'request.headers["x-user"] | "nobody"' } } },
      },
      {
        kind: 'instance',
        name: 'bytes',
        spec: { compiledTemplate: 'quota', params: { dimensions: {}, amount: '2' } },
      },
      {
        kind: 'instance',
        name: 'known',
        spec: { compiledTemplate: 'quota', params: { dimensions: {}, deduplicationId: '"same"' } },
      },
    ]
      .filter(({ name }) => name !== 'bytes' || rules.some(({ instance }) => instance === 'bytes'))
      .map(document),
    ...rules.map(
      ({ match = 'true', failPolicy = 'closed', mode = 'enforce', handler = 'few', instance = 'calls' }, index) =>
        JSON.stringify({
          apiVersion: 'intermix.dev/v1',
          kind: 'rule',
          metadata: { name: `r${index}`, namespace: 'istio-system' },
          spec: { match, failPolicy, mode, actions: [{ handler, instances: [instance] }] },
        }),
    ),
  )
}

const ann = { 'request.headers': new Map([['x-user', 'ann']]), 'request.path': '/' }
const bob = { 'request.headers': new Map([['x-user', 'bob']]), 'request.path': '/' }

describe('a rule with a quota', () => {
  it.each([true, false])('limits who does not name it (whole answers kept: %s)', async (answers) => {
    const node = await startNode(policy({}), answers)
    const codes = []
    for (let each = 0; each < 5; each++) codes.push((await node.check(ann)).answer.status.code)
    expect(codes).toEqual([0, 0, 0, Code.RESOURCE_EXHAUSTED, Code.RESOURCE_EXHAUSTED])
    expect((await node.check(bob)).answer.status.code).toBe(0)
    await node.clock.advance(61_000)
    expect((await node.check(ann)).answer.status.code).toBe(0)
  })

  it('says who denied and why, and nobody may give such an answer again', async () => {
    const node = await startNode(policy({}))
    const allowed = (await node.check(ann)).answer
    expect(allowed).toMatchObject({ validForMs: 0, validUses: 0 })
    for (let each = 0; each < 2; each++) await node.check(ann)
    expect((await node.check(ann)).answer).toMatchObject({
      status: { code: Code.RESOURCE_EXHAUSTED, message: 'few.handler.istio-system:the quota is used up' },
      deniedBy: { rule: 'r0.rule.istio-system', handler: 'few.handler.istio-system' },
      validForMs: 0,
      validUses: 0,
    })
  })

  it('charges the amount of its instance', async () => {
    const node = await startNode(policy({ instance: 'bytes' }))
    const codes = []
    for (let each = 0; each < 2; each++) codes.push((await node.check(ann)).answer.status.code)
    expect(codes).toEqual([0, Code.RESOURCE_EXHAUSTED])
  })

  it('is charged once for a request, however many rules have it', async () => {
    const node = await startNode(policy({}, { match: 'request.path == "/"' }))
    for (let each = 0; each < 3; each++) expect((await node.check(ann)).answer.status.code).toBe(0)
  })

  it('is not charged for what is denied, nor by those who charge by name only', async () => {
    const node = await startNode(policy({ match: 'request.path == "/"' }))
    for (let each = 0; each < 5; each++)
      expect((await node.check(ann, { charging: 'named' })).answer.status.code).toBe(0)
    for (let each = 0; each < 5; each++)
      expect((await node.check(ann, { charging: 'none' })).answer.status.code).toBe(0)
    for (let each = 0; each < 3; each++) expect((await node.check(ann)).answer.status.code).toBe(0)
  })

  it("is the caller's to judge where it is named", async () => {
    const node = await startNode(policy({}))
    const quotas = new Map([['calls', { amount: 2, bestEffort: true }]])
    const granted = []
    for (let each = 0; each < 3; each++) {
      const { answer, quotas: grants } = await node.check(ann, { quotas })
      expect(answer.status.code).toBe(0)
      granted.push(grants.get('calls')?.granted)
    }
    expect(granted).toEqual([2, 1, 0])
  })

  it('is charged at every handler but the one that grants it to who names it', async () => {
    const node = await startNode(policy({ handler: 'few' }, { handler: 'fewer' }))
    const quotas = new Map([['calls', { amount: 0, bestEffort: false }]])
    const codes = []
    for (let each = 0; each < 3; each++) codes.push((await node.check(ann, { quotas })).answer.status.code)
    expect(codes).toEqual([0, 0, Code.RESOURCE_EXHAUSTED])
  })

  it('is charged although a retry by its own id gets what was granted to another quota before', async () => {
    const node = await startNode(policy({ handler: 'shared', instance: 'known' }, { handler: 'shared' }))
    const codes = []
    for (let each = 0; each < 4; each++) codes.push((await node.check(ann)).answer.status.code)
    expect(codes).toEqual([0, 0, 0, Code.RESOURCE_EXHAUSTED])
  })

  it('limits a path with dots by whichever reading it has a rule for, and once', async () => {
    const node = await startNode(
      policy({ match: 'request.path.startsWith("/api/")' }, { match: 'request.path == "/x"' }),
    )
    const check = new NormalizingCheck({ check: node.engine, allowed: new Set(), meter: node.meter })
    const bag = (path: string) => MapBag.of({ ...ann, 'request.path': path })
    const codes = []
    for (const path of ['/api/../x', '/api/../y', '/api/../y', '/api/../y'])
      codes.push((await check.check(bag(path), { timeoutMs: 1_000 })).answer.status.code)
    expect(codes).toEqual([0, 0, 0, Code.RESOURCE_EXHAUSTED])
  })

  it('limits a path with dots by the reading of which the caller is granted nothing', async () => {
    const node = await startNode(policy({ match: 'request.path.startsWith("/api/")' }))
    const check = new NormalizingCheck({ check: node.engine, allowed: new Set(), meter: node.meter })
    const bag = MapBag.of({ ...ann, 'request.path': '/api/../x' })
    const quotas = new Map([['calls', { amount: 1, bestEffort: false }]])
    const codes = []
    for (let each = 0; each < 4; each++)
      codes.push((await check.check(bag, { timeoutMs: 1_000, quotas })).answer.status.code)
    expect(codes).toEqual([0, 0, 0, Code.RESOURCE_EXHAUSTED])
  })

  it('limits although a match fails that a caller can make fail, under any fail policy', async () => {
    const match = 'int(request.headers["x-level"]) < 5'
    const user = (level: string) => ({
      'request.headers': new Map([
        ['x-user', 'ann'],
        ['x-level', level],
      ]),
      'request.path': '/',
    })
    const closed = await startNode(policy({ match }))
    expect((await closed.check(user('x'))).answer.status.code).toBe(Code.PERMISSION_DENIED)
    const open = await startNode(policy({ match, failPolicy: 'open' }))
    const codes = []
    for (let each = 0; each < 4; each++) codes.push((await open.check(user('x'))).answer.status.code)
    expect(codes).toEqual([0, 0, 0, Code.RESOURCE_EXHAUSTED])
    for (let each = 0; each < 5; each++) expect((await open.check(user('7'))).answer.status.code).toBe(0)
  })

  it('ends at the first handler that refuses', async () => {
    const node = await startNode(policy({ handler: 'few' }, { handler: 'fewer' }))
    const denied = []
    for (let each = 0; each < 4; each++) denied.push((await node.check(ann)).answer.deniedBy?.handler.split('.')[0])
    expect(denied).toEqual([undefined, undefined, 'fewer', 'few'])
  })

  it('is resolved by the fail policy where the handler has no answer', async () => {
    const closed = await startNode(policy({ handler: 'broken' }))
    expect((await closed.check(ann)).answer.status.code).not.toBe(0)
    const open = await startNode(policy({ handler: 'broken', failPolicy: 'open' }))
    expect((await open.check(ann)).answer.status.code).toBe(0)
  })

  it.each([new Map(), new Map([['calls', { amount: 1, bestEffort: false }]])])(
    'in shadow mode is charged and counted, and denies nobody (named: %s)',
    async (quotas) => {
      const node = await startNode(policy({ mode: 'shadow' }))
      for (let each = 0; each < 5; each++) expect((await node.check(ann, { quotas })).answer.status.code).toBe(0)
      const shadowed = [...node.meter.values].filter(([name]) => name.startsWith('shadow_verdicts_total'))
      expect(shadowed).toEqual([
        ['shadow_verdicts_total r0.rule.istio-system allow', 3],
        ['shadow_verdicts_total r0.rule.istio-system deny', 2],
      ])
    },
  )

  it('in shadow mode says nothing of requests that it does not apply to', async () => {
    const node = await startNode(policy({ mode: 'shadow', match: 'request.path == "/other"' }))
    expect((await node.check(ann)).answer.status.code).toBe(0)
    await node.check({ ...ann, 'request.path': '/other' })
    const shadowed = [...node.meter.values].filter(([name]) => name.startsWith('shadow_verdicts_total'))
    expect(shadowed).toEqual([['shadow_verdicts_total r0.rule.istio-system allow', 1]])
  })
})
