// What the rest of Intermix sees of an expression, whichever dialect it was written in.

import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import type { IntermixError } from '../kernel/errors.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import type { AttributeValue, ValueType } from '../kernel/value.ts'
import type { TextTerm } from './text-term.ts'

export type { TextTerm }

export type Dialect = 'CEXL' | 'CEL'

/**
 * Why an evaluation gave no value. `absent`: the request lacks an attribute or a map key that was read. `failed`:
 * anything else, such as a value that a function refuses. `exhausted`: a bound of ours, such as the step budget, was met.
 * `ambiguous`: servers read what was read differently, such as a query parameter that came twice with two values.
 * `unknown`: an attribute that was read could not be found out, which is no doing of the caller.
 */
export type FailureKind = 'absent' | 'failed' | 'exhausted' | 'ambiguous' | 'unknown'

/** A run-time failure. Returned, not thrown: it is frequent. */
export class EvaluationError {
  /** In Mixer's words; it may hold values of the request, so it is for logs and operators only. */
  readonly message: string
  readonly kind: FailureKind
  /** Source text of the part that failed: what a caller may be told. */
  readonly part: string | undefined
  /** Why an attribute is unknown. */
  readonly cause: IntermixError | undefined

  constructor(message: string, kind: FailureKind = 'failed', part?: string, cause?: IntermixError) {
    this.message = message
    this.kind = kind
    this.part = part
    this.cause = cause
  }

  /** The same failure, at a part of the source unless it knows a smaller one already. */
  at(part: string): EvaluationError {
    return this.part === undefined ? new EvaluationError(this.message, this.kind, part, this.cause) : this
  }
}

/**
 * Of two failures whose order does not matter, the one to tell. What is absent is the mildest one; what is unknown is the
 * worst, and then what was exhausted or is ambiguous, since nothing but the fail policy may decide those.
 */
export function worse(one: EvaluationError, two: EvaluationError): EvaluationError {
  return SEVERITY[two.kind] > SEVERITY[one.kind] ? two : one
}

const SEVERITY: Readonly<Record<FailureKind, number>> = { absent: 0, failed: 1, exhausted: 2, ambiguous: 2, unknown: 3 }

/** The failure of reading an attribute that the bag lacks, where that does not mean that it is absent. */
export function unknownRead(bag: AttributeBag, attribute: string, part = attribute): EvaluationError | undefined {
  const cause = bag.unknown?.(attribute)
  if (cause === undefined) return undefined
  return new EvaluationError(`${attribute} is unknown: ${cause.message}`, 'unknown', part, cause)
}

/** A mistake in the source. Columns count from 1 within the expression; `length` is at least 1. */
export interface ExpressionProblem {
  readonly message: string
  readonly column: number
  readonly length: number
}

/**
 * Something about an expression that compiles and still is not right. `always-fails`: a part that can only fail.
 * `may-fail`: a part that fails for some values which a caller can choose. `may-exhaust`: one that takes too many steps
 * for some. `unmatchable-key`: a header name that no
 * request can have. `costly`: a part that typical requests could exhaust the step budget with.
 */
export interface ExpressionDoubt extends ExpressionProblem {
  readonly kind: 'always-fails' | 'may-fail' | 'may-exhaust' | 'unmatchable-key' | 'costly'
}

/** `attribute == constant` (or `map["key"] == constant`), joined by the top-level `&&` of an expression. */
export interface EqualityTerm {
  readonly attribute: string
  readonly mapKey: string | undefined
  readonly constant: AttributeValue
}

/** An attribute that the source names, whether or not a given evaluation reads it. */
export interface StaticReference {
  readonly attribute: string
  /** A constant map key; `undefined` for the attribute itself or for a computed key. */
  readonly mapKey: string | undefined
}

/** A compiled expression. It holds no state: one instance serves concurrent evaluations. */
export interface CompiledExpression {
  readonly source: string
  readonly dialect: Dialect
  readonly type: ValueType
  /** The value when the expression reads nothing and cannot fail. */
  readonly constant: AttributeValue | undefined
  readonly references: readonly StaticReference[]
  readonly equalityTerms: readonly EqualityTerm[]
  readonly textTerms: readonly TextTerm[]
  readonly doubts: readonly ExpressionDoubt[]
  /** Evaluates against a bag. `log` hears every read that can influence the result. */
  evaluate(bag: AttributeBag, log?: ReadLog): AttributeValue | EvaluationError
}

export interface CompileOptions {
  readonly dialect: Dialect
  readonly vocabulary: Vocabulary
  /** Steps that one evaluation may take. Default `DEFAULT_MAX_STEPS`. */
  readonly maxSteps?: number
}

export type CompileResult =
  | { readonly ok: true; readonly expression: CompiledExpression }
  | { readonly ok: false; readonly problems: readonly ExpressionProblem[] }
