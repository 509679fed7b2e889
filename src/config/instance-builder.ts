// Filling an instance for one request: a plan made once, evaluated many times.

import type { FieldValue, Instance } from '../adapter-kit/instance.ts'
import { type CompiledExpression, EvaluationError } from '../expression/compiled.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { ReadLog } from '../kernel/read-log.ts'

/** How one field is filled. */
export type FieldPlan =
  | { readonly kind: 'value'; readonly name: string; readonly expression: CompiledExpression }
  | {
      readonly kind: 'map'
      readonly name: string
      readonly entries: readonly (readonly [key: string, expression: CompiledExpression])[]
    }
  | { readonly kind: 'message'; readonly name: string; readonly fields: readonly FieldPlan[] }

type Build = (bag: AttributeBag, log?: ReadLog) => Instance | EvaluationError

/** A function that fills the instance; the first field that cannot be evaluated makes it fail as a whole. */
export function instanceBuilder(name: string, template: string, plan: readonly FieldPlan[]): Build {
  return (bag, log) => {
    const fields = fillFields(plan, bag, log)
    return fields instanceof EvaluationError ? fields : { name, template, fields }
  }
}

/** Fills these fields; the first one that cannot be evaluated is told. */
export function fillFields(
  plan: readonly FieldPlan[],
  bag: AttributeBag,
  log?: ReadLog,
): Record<string, FieldValue> | EvaluationError {
  const fields: Record<string, FieldValue> = {}
  for (const field of plan) {
    const value = fillField(field, bag, log)
    if (value instanceof EvaluationError) return value
    fields[field.name] = value
  }
  return fields
}

export function fillField(field: FieldPlan, bag: AttributeBag, log?: ReadLog): FieldValue | EvaluationError {
  if (field.kind === 'value') return evaluate(field.expression, field.name, bag, log)
  if (field.kind === 'message') return fillFields(field.fields, bag, log)
  const values: Record<string, FieldValue> = Object.create(null)
  for (const [key, expression] of field.entries) {
    const value = evaluate(expression, `${field.name}.${key}`, bag, log)
    if (value instanceof EvaluationError) return value
    values[key] = value
  }
  return values
}

function evaluate(expression: CompiledExpression, place: string, bag: AttributeBag, log: ReadLog | undefined) {
  const value = expression.constant ?? expression.evaluate(bag, log)
  return value instanceof EvaluationError
    ? new EvaluationError(`${place}: ${value.message}`, value.kind, value.part, value.cause)
    : value
}
