// Which rules concern a request, and whether they apply to it.

import { evaluate } from './interpreter.ts'
import { DEFAULT_NAMESPACE, type RuleModel } from './model.ts'
import { conjuncts, type Dialect, type Expression } from './syntax.ts'
import { FAILED, type Readable, Unknown } from './values.ts'

/**
 * Rules of the default namespace come first, then those of the request's: the source's where the reporter is outbound. Where
 * that is unknown, the rules of all.
 */
export function rulesFor(rules: readonly RuleModel[], bag: Readable): readonly RuleModel[] {
  const own = namespaceOf(bag)
  const idOf = ({ namespace, name }: RuleModel) => `${namespace === DEFAULT_NAMESPACE ? '' : namespace} ${name}`
  return rules
    .filter(({ namespace }) => namespace === DEFAULT_NAMESPACE || own instanceof Unknown || namespace === own)
    .toSorted((a, b) => (idOf(a) < idOf(b) ? -1 : 1))
}

function namespaceOf(bag: Readable): unknown {
  const side = bag.get('context.reporter.kind') === 'outbound' ? 'source.namespace' : 'destination.namespace'
  return bag.get(side) ?? bag.whyUnknown?.(side)
}

/** Whether a rule applies, or why that is not known. */
export type Applies = boolean | typeof FAILED | Unknown

/**
 * What is absent does not match. What fails is not known, or no match where the rule says so (as rules in Mixer's format do
 * unless told), except where the match compares an attribute or a map key with a constant and they differ (in CEXL not a map
 * key with the empty text). On what is unknown, the request's namespace too, the rule has no say.
 */
export function applies(rule: RuleModel, bag: Readable): Applies {
  const result = matches(rule, bag)
  const namespace = rule.namespace === DEFAULT_NAMESPACE ? undefined : namespaceOf(bag)
  if (result === true) return namespace instanceof Unknown ? namespace : true
  const { matchFailure = rule.api === 'mixer' ? 'noMatch' : 'unknown' } = rule
  return result === FAILED && matchFailure === 'noMatch' ? false : result
}

function matches({ match, dialect }: RuleModel, bag: Readable): Applies {
  if (match === undefined) return true
  const result = evaluate(match, dialect, bag)
  if (result !== FAILED && !(result instanceof Unknown)) return result === true
  return conjuncts(match).some((part) => isRuledOut(part, dialect, bag)) ? false : result
}

function isRuledOut(part: Expression, dialect: Dialect, bag: Readable): boolean {
  if (part.is !== 'equal') return false
  const { left, right } = part
  const isRead = left.is === 'attribute' || (left.is === 'entry' && left.key.is === 'constant')
  if (!isRead || right.is !== 'constant') return false
  if (left.is === 'entry' && dialect === 'CEXL' && right.value === '') return false
  const result = evaluate(part, dialect, bag)
  return result !== true && result !== FAILED && !(result instanceof Unknown)
}
