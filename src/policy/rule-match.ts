// Whether a rule applies to a request, where its match may fail: what a caller can make fail must not decide alone.

import type { RuleConfig } from '../config/snapshot.ts'
import { type EqualityTerm, EvaluationError } from '../expression/compiled.ts'
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
 * unknown whether the rule applies, unless the rule's `matchFailure` says that it does not. A term of the match's
 * top-level `&&` that does not hold decides in spite of failures elsewhere, as it does where an index selects rules.
 */
export function matchRule(
  rule: RuleConfig,
  bag: AttributeBag,
  log: ReadLog | undefined,
  failed: MatchFailed,
): boolean | EvaluationError {
  const { match } = rule
  if (match === undefined) return true
  const value = match.evaluate(bag, log)
  if (!(value instanceof EvaluationError)) return value === true
  if (value.kind === 'absent' || match.equalityTerms.some((term) => isRuledOut(term, bag, log))) return false
  failed(rule, value)
  return rule.matchFailure === 'noMatch' ? false : value
}

/** A value of another type than the constant rules nothing out: such a term fails itself. */
function isRuledOut({ attribute, mapKey, constant }: EqualityTerm, bag: AttributeBag, log?: ReadLog): boolean {
  const whole = bag.get(attribute)
  if (whole === undefined || mapKey === undefined || typeof whole !== 'object' || !isStringMap(whole)) {
    log?.attribute(attribute, whole)
    if (whole === undefined) return true
    return mapKey === undefined && typeof whole === typeof constant && whole !== constant
  }
  const value = whole.get(mapKey)
  log?.mapKey(attribute, mapKey, value)
  return value !== constant
}

/** The unknown verdict of an evaluation that failed. Its message names places of the config, never a value. */
export function evaluationFailure(what: string, { kind, part = 'an expression' }: EvaluationError): IntermixError {
  const place = part.length > QUOTED ? `${part.slice(0, QUOTED)}…` : part
  const reason =
    kind === 'absent' ? 'is missing' : kind === 'exhausted' ? 'takes too many steps' : 'cannot be evaluated'
  return new IntermixError('EVALUATION_FAILED', `${what}: ${place} ${reason}`)
}
