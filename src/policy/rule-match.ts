// Whether a rule applies to a request, where its match may fail: what a caller can make fail must not decide alone.

import { unknownNamespace } from '../config/request-namespace.ts'
import type { RuleConfig } from '../config/snapshot.ts'
import { type EqualityTerm, EvaluationError, type TextTerm } from '../expression/compiled.ts'
import { fits } from '../expression/text-term.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import { isStringMap } from '../kernel/value.ts'

/** Hears of a match that failed, whatever becomes of it. An absent attribute or map key is no failure. */
export type MatchFailed = (rule: RuleConfig, failure: EvaluationError) => void

/** Longest part of a source that a message quotes. */
const QUOTED = 160

/**
 * Whether a rule applies. What is absent does not match. Another failure is the answer itself, which says that it is
 * unknown whether the rule applies, unless the rule's `matchFailure` says that it does not. That is Mixer's way with what
 * callers send, so it has no say where a match, or the request's namespace, hangs on an attribute that could not be found
 * out, nor where a bound of ours ended the evaluation: Mixer would have gone on, and perhaps found a match. Nor where what
 * was read is ambiguous: Mixer took one of the readings, and whichever it is, a caller would get past a rule on another.
 * A term of the match's top-level `&&` that does not hold decides in spite of failures elsewhere, as it does where an index
 * selects rules.
 */
export function matchRule(
  rule: RuleConfig,
  bag: AttributeBag,
  log: ReadLog | undefined,
  failed: MatchFailed,
): boolean | EvaluationError {
  const isMatch = evaluateMatch(rule.match, bag, log)
  const failure = isMatch === true && !rule.everywhere ? unknownNamespace(bag, log) : isMatch
  if (typeof failure === 'boolean') return failure
  if (failure === undefined) return true
  failed(rule, failure)
  return rule.matchFailure === 'noMatch' && failure.kind === 'failed' ? false : failure
}

function evaluateMatch(match: RuleConfig['match'], bag: AttributeBag, log?: ReadLog): boolean | EvaluationError {
  if (match === undefined) return true
  const value = match.evaluate(bag, log)
  if (!(value instanceof EvaluationError)) return value === true
  if (value.kind === 'absent' || match.equalityTerms.some((term) => isRuledOut(term, bag, log))) return false
  return match.textTerms.some((term) => isTextRuledOut(term, bag, log)) ? false : value
}

/**
 * A value of another type than the constant rules nothing out: such a term fails itself. Nor does one that is unknown or ambiguous.
 */
function isRuledOut({ attribute, mapKey, constant }: EqualityTerm, bag: AttributeBag, log?: ReadLog): boolean {
  const whole = bag.get(attribute)
  if (whole === undefined || mapKey === undefined || typeof whole !== 'object' || !isStringMap(whole)) {
    log?.attribute(attribute, whole)
    if (whole === undefined) return bag.unknown?.(attribute) === undefined
    return mapKey === undefined && typeof whole === typeof constant && whole !== constant
  }
  const value = whole.get(mapKey)
  log?.mapKey(attribute, mapKey, value)
  return value !== constant && whole.ambiguity?.(mapKey) === undefined
}

/** As `isRuledOut`, of a term that names patterns. */
function isTextRuledOut({ attribute, mapKey, anyOf }: TextTerm, bag: AttributeBag, log?: ReadLog): boolean {
  const whole = bag.get(attribute)
  if (whole === undefined || mapKey === undefined || typeof whole !== 'object' || !isStringMap(whole)) {
    log?.attribute(attribute, whole)
    if (whole === undefined) return bag.unknown?.(attribute) === undefined
    return mapKey === undefined && typeof whole === 'string' && !anyOf.some((pattern) => fits(whole, pattern))
  }
  const value = whole.get(mapKey)
  log?.mapKey(attribute, mapKey, value)
  const isSaid = value !== undefined && anyOf.some((pattern) => fits(value, pattern))
  return !isSaid && whole.ambiguity?.(mapKey) === undefined
}

/**
 * The unknown verdict of an evaluation that failed. Its message names places of the config, never a value. Where an
 * attribute could not be found out, the code is that of the reason.
 */
export function evaluationFailure(what: string, failure: EvaluationError): IntermixError {
  const { kind, part = 'an expression', cause } = failure
  const place = part.length > QUOTED ? `${part.slice(0, QUOTED)}…` : part
  if (cause !== undefined) {
    return new IntermixError(cause.code, `${what}: ${place} is unknown: ${cause.message}`, { cause })
  }
  return new IntermixError('EVALUATION_FAILED', `${what}: ${place} ${REASONS[kind]}`)
}

const REASONS: Readonly<Record<EvaluationError['kind'], string>> = {
  absent: 'is missing',
  failed: 'cannot be evaluated',
  exhausted: 'takes too many steps',
  ambiguous: 'is ambiguous: servers read it differently',
  unknown: 'is unknown',
}
