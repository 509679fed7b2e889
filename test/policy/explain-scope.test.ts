// How much of a large config an explanation shows.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { type ExplainScope, explainCheck } from '../../src/policy/explain.ts'
import { document, goodPolicy, type PolicyNode, startPolicy } from './policy-node.ts'

const RULES = 2_000

interface Told {
  readonly rules: readonly { readonly rule: string; readonly matched: boolean; readonly because?: string }[]
  readonly count: object
  readonly read: readonly object[]
}

describe('an explanation with thousands of rules', () => {
  let node: PolicyNode
  beforeAll(async () => {
    const rules = Array.from({ length: RULES }, (_, n) => {
      const match = n % 500 === 499 ? `request.path.startsWith("/${n}")` : `request.path == "/${n}"`
      return document({
        kind: 'rule',
        name: `r${n}`,
        spec: { match, actions: [{ handler: 'deny', instances: ['it'] }] },
      })
    })
    node = await startPolicy(
      goodPolicy(
        document({ kind: 'handler', name: 'deny', spec: { compiledAdapter: 'denier' } }),
        document({ kind: 'instance', name: 'it', spec: { compiledTemplate: 'checknothing' } }),
        ...rules,
      ),
    )
  })
  afterAll(() => node.stop())

  const explain = async (scope?: ExplainScope, path = '/1234') => {
    const verdicts = { get: () => ({ error: new Error('not asked') as never }) }
    const bag = MapBag.of({ 'request.path': path })
    return (await explainCheck(node.state(), bag, 1_000, { clock: node.clock, verdicts }, scope)) as Told
  }

  it('shows the candidates, then others up to the limit, and counts the rest', async () => {
    const { rules, count } = await explain({ limit: 10 })
    const names = rules.map(({ rule }) => rule.split('.')[0])
    expect(names).toEqual(['r0', 'r1', 'r10', 'r100', 'r1000', 'r1234', 'r1499', 'r1999', 'r499', 'r999'])
    expect(rules.filter(({ matched }) => matched).map(({ rule }) => rule)).toEqual(['r1234.rule.istio-system'])
    expect(rules[0]?.because).toBe('request.path is "/1234", not "/0"')
    expect(count).toEqual({ rules: RULES, candidates: 5, leftOut: RULES - 10 })
  })

  it('shows 100 rules without a word on it', async () => {
    expect((await explain()).rules).toHaveLength(100)
  })

  it('stays small, however long the values are', async () => {
    const told = await explain({ limit: 1_000 }, 'a'.repeat(20_000))
    expect(JSON.stringify(told).length).toBeLessThan(1_200_000)
    expect(told.count).toMatchObject({ leftOut: RULES - told.rules.length })
  })

  it('shows the one rule that is asked for, and tells a name that there is not', async () => {
    const { rules, count } = await explain({ rule: 'r7.rule.istio-system' })
    expect(rules).toEqual([
      { rule: 'r7.rule.istio-system', matched: false, because: 'request.path is "/1234", not "/7"' },
    ])
    expect(count).toEqual({ rules: 1, candidates: 0, leftOut: 0 })
    await expect(explain({ rule: 'r7.rule.istio-sistem' })).rejects.toThrow('Did you mean "r7.rule.istio-system"')
  })
})
