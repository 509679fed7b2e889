// What the rest of Intermix sees of an expression, whichever dialect it was written in.

import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import type { AttributeValue, ValueType } from '../kernel/value.ts'

export type Dialect = 'CEXL' | 'CEL'

/** A run-time failure (an absent attribute, a value that a function refuses). Returned, not thrown: it is frequent. */
export class EvaluationError {
  readonly message: string

  constructor(message: string) {
    this.message = message
  }
}

/** A mistake in the source. Columns count from 1 within the expression; `length` is at least 1. */
export interface ExpressionProblem {
  readonly message: string
  readonly column: number
  readonly length: number
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
  /** Evaluates against a bag. `log` hears every read that can influence the result. */
  evaluate(bag: AttributeBag, log?: ReadLog): AttributeValue | EvaluationError
}

export interface CompileOptions {
  readonly dialect: Dialect
  readonly vocabulary: Vocabulary
}

export type CompileResult =
  | { readonly ok: true; readonly expression: CompiledExpression }
  | { readonly ok: false; readonly problems: readonly ExpressionProblem[] }
