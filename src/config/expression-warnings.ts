// Doubts about expressions that compile: keys that never match, matches that a caller can make fail, work without end.

import type { ExpressionDoubt } from '../expression/compiled.ts'
import type { ExpressionSite } from './compile-context.ts'
import type { ProblemList } from './problem-list.ts'
import { serves } from './rule-purpose.ts'
import type { Sliced } from './slices.ts'
import type { RuleConfig } from './snapshot.ts'

/** Warns of the doubts of all expressions; of a match that can be made fail only where its rule then does not apply. */
export function* warnOfExpressions(
  rules: Iterable<RuleConfig>,
  sites: ReadonlyMap<string, readonly ExpressionSite[]>,
  problems: ProblemList,
): Sliced<void> {
  const byName = new Map(Array.from(rules, (rule) => [rule.name, rule]))
  for (const [name, list] of sites) {
    yield
    const rule = byName.get(name)
    for (const { node, expression } of list) {
      const isMatch = rule !== undefined && expression === rule.match
      for (const doubt of expression.doubts) {
        const text = textOf(doubt, isMatch ? effectOfFailure(rule, doubt.kind) : undefined)
        if (text !== undefined) problems.within('warning', node, doubt.column - 1, doubt.kind, `${text}.`)
      }
    }
  }
}

/** What a caller gains by a match that fails; `undefined` where it gains nothing. */
function effectOfFailure(rule: RuleConfig, kind: ExpressionDoubt['kind']): string | undefined {
  if (!(['check', 'attributes', 'rateLimit'] as const).some((purpose) => serves(rule, purpose))) return undefined
  if (rule.matchFailure === 'noMatch' && kind === 'may-fail') {
    return 'and the rule does not apply then: with "matchFailure: unknown" its failPolicy decides'
  }
  return rule.failPolicy === 'open' ? 'and the rule is passed over then: its failPolicy is "open"' : undefined
}

function textOf({ kind, message }: ExpressionDoubt, effect: string | undefined): string | undefined {
  if (kind !== 'may-fail' && kind !== 'may-exhaust') return message
  return effect === undefined ? undefined : `a caller can make this fail: ${message}, ${effect}`
}
