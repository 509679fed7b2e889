// Closures that expressions compile to, and the one that answers a question about a single attribute as a predicate.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Predicate, ReadLog } from '../kernel/read-log.ts'
import { type AttributeValue, isStringMap } from '../kernel/value.ts'
import type { EvaluationError } from './compiled.ts'

type Closure<T> = (bag: AttributeBag, log: ReadLog | undefined) => T

export type Evaluate = Closure<AttributeValue | EvaluationError>

/** As `Evaluate`; `undefined` says that an attribute or a map key is absent. */
export type EvaluateOptional = Closure<AttributeValue | EvaluationError | undefined>

/** The one attribute, or constant key of a map attribute, that an expression reads. */
export interface Subject {
  readonly attribute: string
  readonly mapKey: string | undefined
}

/** The entry of a map attribute; `undefined` where the map or the key is absent. */
export function readEntry(bag: AttributeBag, name: string, key: string): string | undefined {
  const map = bag.get(name)
  return typeof map === 'object' && isStringMap(map) ? map.get(key) : undefined
}

/** The predicate that a boolean expression over one subject asks. `id` is canonical. */
export function predicateOf({ attribute, mapKey }: Subject, id: string, evaluate: Closure<unknown>): Predicate {
  return {
    id,
    attribute,
    mapKey,
    test(bag) {
      const value = mapKey === undefined ? bag.get(attribute) : readEntry(bag, attribute, mapKey)
      if (value === undefined) return undefined
      const answer = evaluate(bag, undefined)
      return typeof answer === 'boolean' ? answer : undefined
    },
  }
}

/**
 * Logs the answer of a boolean expression over one subject instead of what it reads; absence and errors are logged as
 * plain reads. `evaluate` must not log predicates itself.
 */
export function asPredicate<T>(predicate: Predicate, evaluate: Closure<T>): Closure<T | boolean> {
  return (bag, log) => {
    if (log === undefined) return evaluate(bag, undefined)
    const answer = predicate.test(bag)
    if (answer === undefined) return evaluate(bag, log)
    log.predicate(predicate, answer)
    return answer
  }
}

/** `asPredicate` for `attribute == constant` over a string, the commonest clause of rules. */
export function equalsPredicate(predicate: Predicate, constant: string, evaluate: Evaluate): Evaluate {
  const name = predicate.attribute
  return (bag, log) => {
    const value = bag.get(name)
    if (typeof value !== 'string') return evaluate(bag, log)
    const answer = value === constant
    if (log !== undefined) log.predicate(predicate, answer)
    return answer
  }
}

/** `asPredicate` for a test of one string attribute. */
export function stringPredicate(predicate: Predicate, test: (text: string) => boolean, evaluate: Evaluate): Evaluate {
  const name = predicate.attribute
  return (bag, log) => {
    const value = bag.get(name)
    if (typeof value !== 'string') return evaluate(bag, log)
    const answer = test(value)
    if (log !== undefined) log.predicate(predicate, answer)
    return answer
  }
}

/** `asPredicate` for a test of one entry of a map attribute. */
export function entryPredicate(predicate: Predicate, test: (text: string) => boolean, evaluate: Evaluate): Evaluate {
  const name = predicate.attribute
  const key = predicate.mapKey ?? ''
  return (bag, log) => {
    const value = readEntry(bag, name, key)
    if (value === undefined) return evaluate(bag, log)
    const answer = test(value)
    if (log !== undefined) log.predicate(predicate, answer)
    return answer
  }
}
