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
 * unless told), except where a part of the match compares an attribute or a map key with a constant (in CEXL not a map key
 * with the empty text) or demands that it begins or ends with one, and that is not so. On what is unknown, the request's
 * namespace too, the rule has no say.
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
  if (!isComparison(part, dialect) && readByTests(part, dialect) === undefined) return false
  const result = evaluate(part, dialect, bag)
  return result !== true && result !== FAILED && !(result instanceof Unknown)
}

function isComparison(part: Expression, dialect: Dialect): boolean {
  if (part.is !== 'equal' || part.right.is !== 'constant' || nameOfRead(part.left) === undefined) return false
  return part.left.is !== 'entry' || dialect === 'CEL' || part.right.value !== ''
}

/**
 * What a test of a text, or several that `||` joins, read: the same attribute or entry each, compared with the beginning,
 * the end or the whole of a text that is not empty. In CEXL a constant may stand for what is absent, if it does not pass.
 */
function readByTests(part: Expression, dialect: Dialect): string | undefined {
  if (part.is === 'or') {
    const [one, two] = [readByTests(part.left, dialect), readByTests(part.right, dialect)]
    return one === two ? one : undefined
  }
  if (part.is !== 'starts' && part.is !== 'ends' && part.is !== 'glob' && part.is !== 'equal') return undefined
  const { left, right } = part
  if (right.is !== 'constant' || typeof right.value !== 'string' || right.value.replace('*', '') === '')
    return undefined
  if (dialect !== 'CEXL' || left.is !== 'else') return nameOfRead(left)
  const isReplaced = left.right.is === 'constant' && evaluate({ ...part, left: left.right }, dialect, NOTHING) === false
  return isReplaced ? nameOfRead(left.left) : undefined
}

const NOTHING: Readable = { get: () => undefined }

function nameOfRead(node: Expression): string | undefined {
  if (node.is === 'attribute') return node.name
  return node.is === 'entry' && node.key.is === 'constant' ? `${node.map}[${String(node.key.value)}]` : undefined
}
