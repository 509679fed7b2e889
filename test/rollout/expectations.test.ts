// What an operator declares, and which flips and denials it explains.

import { describe, expect, it } from 'vitest'
import {
  comparedDenials,
  expectsUnknowns,
  readExpectation,
  readExpectations,
  unexpectedFlips,
} from '../../src/rollout/expectations.ts'
import { type Flip, NO_COUNTERS } from '../../src/rollout/observation.ts'

const flip = (from: string, to: string, rule: string, count: number): Flip => ({ from, to, rule, count, examples: [] })

describe('an expectation', () => {
  it.each([
    ['deny-admin: +deny', { rule: 'deny-admin', sign: '+', outcome: 'deny', share: 1 }],
    ['  deny-admin.shop:-deny ', { rule: 'deny-admin.shop', sign: '-', outcome: 'deny', share: 1 }],
    ['*: +unknown <= 2.5%', { rule: '*', sign: '+', outcome: 'unknown', share: 0.025 }],
    ['a: + deny<=100 %', { rule: 'a', sign: '+', outcome: 'deny', share: 1 }],
  ])('%j is read', (text, read) => expect(readExpectation(text)).toEqual(read))

  it.each([
    ['', 'write RULE: +deny'],
    ['deny-admin', 'write RULE: +deny'],
    ['deny-admin: deny', 'write RULE: +deny'],
    ['deny-admin: +deny <= many', 'write RULE: +deny'],
    ['deny-admin: +dney', 'did you mean deny?'],
    ['a: +allow', 'allow is neither deny nor unknown'],
    ['a: +deny <= 101%', '101 % of the requests'],
    [`${'a'.repeat(400)}: +deny`, 'more than 400 characters'],
  ])('%j is refused', (text, words) => expect(readExpectation(text)).toContain(words))
})

describe('flips', () => {
  const flips = [
    flip('allow', 'deny', 'a.shop', 30),
    flip('deny', 'allow', 'b.shop', 4),
    flip('allow', 'unknown', 'a.shop', 2),
  ]
  const left = (...texts: string[]) =>
    unexpectedFlips({ pairs: 1_000, incomparable: 0, flips }, readExpectations(texts)).map(
      ({ from, to, count }) => `${from} ${to} ${count}`,
    )

  it('are unexpected unless the rule and the direction are declared', () => {
    expect(left()).toEqual(['allow deny 30', 'deny allow 4', 'allow unknown 2'])
    expect(left('a: +deny')).toEqual(['deny allow 4', 'allow unknown 2'])
    expect(left('a.shop: +deny', 'b.rule.shop: -deny')).toEqual(['allow unknown 2'])
    expect(left('a: -deny', 'b: +deny', 'a.other: +deny', 'sh: +deny')).toHaveLength(3)
    expect(left('*: +deny', '*: -deny', '*: +unknown')).toEqual([])
  })

  it('are unexpected beyond the share that is declared', () => {
    expect(left('a: +deny <= 1%')).toEqual(['allow deny 20', 'deny allow 4', 'allow unknown 2'])
    expect(left('a: +deny <= 1%', 'a: +deny <= 1%')[0]).toBe('allow deny 10')
  })
})

describe('denials', () => {
  const counters = { ...NO_COUNTERS, checks: 1_000, denials: 50, denialsBy: { 'a.shop': 30, 'b.shop': 15 } }
  const compared = (...texts: string[]) => comparedDenials(counters, readExpectations(texts))

  it('are compared without those that are expected to change', () => {
    expect(compared()).toBe(50)
    expect(compared('a: +deny')).toBe(20)
    expect(compared('a: -deny', 'b: +deny')).toBe(5)
    expect(compared('a: +deny <= 1%')).toBe(40)
    expect(compared('*: +deny')).toBe(0)
    expect(compared('a: +unknown')).toBe(50)
    expect(expectsUnknowns(readExpectations(['a: +unknown']))).toBe(true)
    expect(expectsUnknowns(readExpectations(['a: +deny', 'a: -unknown']))).toBe(false)
  })
})
