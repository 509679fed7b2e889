// The closures that CEL's operators become: each part evaluated in its turn, failures handed on.

import { EMPTY_BAG } from '../../kernel/attribute-bag.ts'
import { EvaluationError, worse } from '../compiled.ts'
import { equals } from './operations.ts'
import { type Cel, contains } from './reads.ts'
import { type CelResult, type CelValue, typeName } from './values.ts'

/** The value of a part that reads nothing, computed once. */
export function fold(evaluate: Cel): Cel {
  return constantly(evaluate(EMPTY_BAG, undefined))
}

export function constantly(value: ReturnType<Cel>): Cel {
  return () => value
}

/** An operation on two values. */
export type Operation = (left: CelValue, right: CelValue, log: Parameters<Cel>[1]) => ReturnType<Cel>

export const isIn: Operation = (item, items, log) => contains(item, items, log, equals)

/** A failure of an operation knows which part of the source it is. */
export function located(value: CelResult, part: string): CelResult {
  return value instanceof EvaluationError ? value.at(part) : value
}

export function binary(left: Cel, right: Cel, operation: Operation, part: string): Cel {
  return (bag, log) => {
    const one = left(bag, log)
    if (one instanceof EvaluationError) return one
    const two = right(bag, log)
    return two instanceof EvaluationError ? two : located(operation(one, two, log), part)
  }
}

/** The values of all parts, or the first failure. */
export function valuesOf(
  parts: readonly Cel[],
  bag: Parameters<Cel>[0],
  log: Parameters<Cel>[1],
): readonly CelValue[] | EvaluationError {
  const values: CelValue[] = []
  for (const part of parts) {
    const value = part(bag, log)
    if (value instanceof EvaluationError) return value
    values.push(value)
  }
  return values
}

/** Characters, or bytes, of the values that have any. */
export function charactersIn(values: readonly CelValue[]): number {
  let characters = 0
  for (const value of values) if (typeof value === 'string' || value instanceof Uint8Array) characters += value.length
  return characters
}

export function not(operand: Cel, part: string): Cel {
  return (bag, log) => {
    const value = operand(bag, log)
    if (typeof value === 'boolean') return !value
    return value instanceof EvaluationError ? value : noOverload(`!${typeName(value)}`, part)
  }
}

function noOverload(call: string, part: string): EvaluationError {
  return new EvaluationError(`no such overload: ${call}`, 'failed', part)
}

/** A side that decides the result absorbs an error of the other side. */
export function logical(left: Cel, right: Cel, decisive: boolean, part: string): Cel {
  const operator = decisive ? '||' : '&&'
  return (bag, log) => {
    const one = left(bag, log)
    if (one === decisive) return decisive
    const two = right(bag, log)
    if (two === decisive) return decisive
    if (one instanceof EvaluationError) return two instanceof EvaluationError ? worse(one, two) : one
    if (two instanceof EvaluationError) return two
    if (typeof one === 'boolean' && typeof two === 'boolean') return !decisive
    return noOverload(`${typeName(one)} ${operator} ${typeName(two)}`, part)
  }
}

export function choose(condition: Cel, yes: Cel, no: Cel, part: string): Cel {
  return (bag, log) => {
    const answer = condition(bag, log)
    if (answer === true) return yes(bag, log)
    if (answer === false) return no(bag, log)
    return answer instanceof EvaluationError ? answer : noOverload(`${typeName(answer)} ? :`, part)
  }
}
