// What an operator expects a candidate to change, so that it is not taken for damage: `deny-admin: +deny`.
//
//   expectation = rule ":" change [ "<=" share "%" ]
//   rule        = "*" | name | name "." namespace | name ".rule." namespace
//   change      = ( "+" | "-" ) ( "deny" | "unknown" )
//
// `+deny`: requests that were not denied are, by this rule. `-deny`: requests that this rule denied are not any more. The same
// of `unknown`, where something cannot be evaluated. With a share: of at most so many of the requests.

import { nearest } from '../kernel/suggest.ts'
import type { Counters, Flip, ShadowCounts } from './observation.ts'

export interface Expectation {
  /** `*`: whichever rule it is. */
  readonly rule: string
  readonly sign: '+' | '-'
  readonly outcome: 'deny' | 'unknown'
  /** Of all requests; 1 where no bound is given. */
  readonly share: number
}

const FORM = /^\s*(\*|[^\s:*<>=]{1,253})\s*:\s*([+-])\s*([a-z]+)\s*(?:<=\s*(\d{1,3}(?:\.\d{1,6})?)\s*%\s*)?$/
const OUTCOMES = ['deny', 'unknown'] as const

/** Expectations of one rollout. */
export const MAX_EXPECTATIONS = 50

const MAX_LENGTH = 400

/** Reads one; a text that says what is wrong with it and what would be right. */
export function readExpectation(text: string): Expectation | string {
  if (text.length > MAX_LENGTH) return `${JSON.stringify(text.slice(0, 80))}…: more than ${MAX_LENGTH} characters`
  const [, rule, sign, word = '', percent = '100'] = FORM.exec(text) ?? []
  if (rule === undefined)
    return `${JSON.stringify(text)}: write RULE: +deny, or -deny, +unknown, -unknown; add <= 5% to bound it`
  const outcome = OUTCOMES.find((name) => name === word)
  if (outcome === undefined) {
    const near = nearest(word, OUTCOMES).join(' or ')
    return `${JSON.stringify(text)}: ${word} is neither deny nor unknown${near === '' ? '' : `; did you mean ${near}?`}`
  }
  const share = Number(percent) / 100
  if (share > 1) return `${JSON.stringify(text)}: ${percent} % of the requests are more than all of them`
  return { rule, sign: sign === '-' ? '-' : '+', outcome, share }
}

/** Those that can be read. */
export function readExpectations(texts: readonly string[]): readonly Expectation[] {
  return texts.map(readExpectation).filter((one) => typeof one !== 'string')
}

/** Whether a rule is meant, by its name with the namespace, in full or as processes tell it, or by its name alone. */
function means({ rule }: Expectation, told: string): boolean {
  const wanted = rule.replace('.rule.', '.')
  return wanted === '*' || wanted === told || wanted === told.slice(0, told.lastIndexOf('.'))
}

function explains(expectation: Expectation, flip: Flip): boolean {
  const { sign, outcome } = expectation
  const side = sign === '+' ? flip.to : flip.from
  return side === outcome && means(expectation, flip.rule)
}

/** Flips that no expectation explains, each kind with its count; beyond the share of an expectation, the rest of them. */
export function unexpectedFlips({ flips, pairs }: ShadowCounts, expectations: readonly Expectation[]): readonly Flip[] {
  const left = new Map(expectations.map((one) => [one, Math.floor(one.share * pairs)]))
  return flips.flatMap((flip) => {
    let { count } = flip
    for (const [expectation, room] of left) {
      if (!explains(expectation, flip)) continue
      const taken = Math.min(count, room)
      left.set(expectation, room - taken)
      count -= taken
    }
    return count === 0 ? [] : [{ ...flip, count }]
  })
}

/**
 * Denials that are compared between candidate and stable: without those by rules whose denials are expected to change, up to
 * the share of each.
 */
export function comparedDenials(counters: Counters, expectations: readonly Expectation[]): number {
  let { denials } = counters
  for (const expectation of expectations) {
    if (expectation.outcome !== 'deny') continue
    const room = Math.floor(expectation.share * counters.checks)
    denials -= Math.min(room, expectation.rule === '*' ? denials : deniedBy(counters, expectation))
  }
  return Math.max(0, denials)
}

function deniedBy({ denialsBy }: Counters, expectation: Expectation): number {
  return Object.entries(denialsBy).reduce((sum, [rule, count]) => (means(expectation, rule) ? sum + count : sum), 0)
}

/** Whether it is expected of any rule that more cannot be evaluated. */
export function expectsUnknowns(expectations: readonly Expectation[]): boolean {
  return expectations.some(({ sign, outcome }) => sign === '+' && outcome === 'unknown')
}
