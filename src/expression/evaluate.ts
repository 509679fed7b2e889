// Closures that expressions compile to, and the one that answers a question about a single attribute as a predicate.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Predicate, ReadLog } from '../kernel/read-log.ts'
import type { SubjectTest } from '../kernel/subject-test.ts'
import { type AttributeValue, isStringMap } from '../kernel/value.ts'
import type { EvaluationError } from './compiled.ts'
import { match } from './functions/conversions.ts'
import { travelling } from './subject-test.ts'
import { budgeted, remainingSteps, setRemainingSteps } from './steps.ts'

type Closure<T> = (bag: AttributeBag, log: ReadLog | undefined) => T

export type Evaluate = Closure<AttributeValue | EvaluationError>

/** As `Evaluate`; `undefined` says that an attribute or a map key is absent. */
export type EvaluateOptional = Closure<AttributeValue | EvaluationError | undefined>

/** The one attribute, or constant key of a map attribute, that an expression reads. */
export interface Subject {
  readonly attribute: string
  readonly mapKey: string | undefined
}

/** The entry of a map attribute; `undefined` where the map or the key is absent, or the entry is ambiguous. */
function readEntry(bag: AttributeBag, name: string, key: string): string | undefined {
  const map = bag.get(name)
  if (typeof map !== 'object' || !isStringMap(map)) return undefined
  return map.ambiguity?.(key) === undefined ? map.get(key) : undefined
}

/** The value of a subject; `undefined` where it is absent or ambiguous. */
export function readSubject(bag: AttributeBag, { attribute, mapKey }: Subject): AttributeValue | undefined {
  return mapKey === undefined ? bag.get(attribute) : readEntry(bag, attribute, mapKey)
}

/**
 * The predicate that a boolean expression over one subject asks. `id` is canonical. Asked outside an evaluation, it has
 * a budget of its own; `maxSteps` is `undefined` where it takes no steps. `asks` says it as data.
 */
export function predicateOf(
  subject: Subject,
  id: string,
  evaluate: Closure<unknown>,
  maxSteps: number | undefined,
  asks: () => SubjectTest | undefined,
): Predicate {
  const ask = maxSteps === undefined ? evaluate : budgeted(evaluate, maxSteps)
  return {
    id,
    attribute: subject.attribute,
    mapKey: subject.mapKey,
    test(bag) {
      if (readSubject(bag, subject) === undefined) return undefined
      const answer = ask(bag, undefined)
      return typeof answer === 'boolean' ? answer : undefined
    },
    travels: () => travelling(asks()),
  }
}

/**
 * Logs the answer of a boolean expression over one subject instead of what it reads; absence and errors are logged as
 * plain reads. `evaluate` must not log predicates itself.
 */
export function asPredicate<T>(predicate: Predicate, evaluate: Closure<T>): Closure<T | boolean> {
  return (bag, log) => {
    if (log === undefined) return evaluate(bag, undefined)
    if (readSubject(bag, predicate) === undefined) return evaluate(bag, log)
    const steps = remainingSteps()
    const answer = evaluate(bag, undefined)
    if (typeof answer === 'boolean') {
      log.predicate(predicate, answer)
      return answer
    }
    setRemainingSteps(steps)
    return evaluate(bag, log)
  }
}

/** A test of one string: what a common clause of rules, such as `path.startsWith("/api/")`, asks. */
export interface Clause {
  readonly test: (text: string) => boolean
  /** The constant, where the test is equality with it. */
  readonly equals: string | undefined
}

/** `asPredicate` for a clause over a string attribute or an entry of a map attribute, without generic operands. */
export function clausePredicate<T>(predicate: Predicate, clause: Clause, evaluate: Closure<T>): Closure<T | boolean> {
  const { test, equals } = clause
  if (predicate.mapKey !== undefined) return entryPredicate(predicate, test, evaluate)
  return equals === undefined
    ? stringPredicate(predicate, test, evaluate)
    : equalsPredicate(predicate, equals, evaluate)
}

function equalsPredicate<T>(predicate: Predicate, constant: string, evaluate: Closure<T>): Closure<T | boolean> {
  const name = predicate.attribute
  return (bag, log) => {
    const value = bag.get(name)
    if (typeof value !== 'string') return evaluate(bag, log)
    const answer = value === constant
    if (log !== undefined) log.predicate(predicate, answer)
    return answer
  }
}

function stringPredicate<T>(predicate: Predicate, test: Clause['test'], evaluate: Closure<T>): Closure<T | boolean> {
  const name = predicate.attribute
  return (bag, log) => {
    const value = bag.get(name)
    if (typeof value !== 'string') return evaluate(bag, log)
    const answer = test(value)
    if (log !== undefined) log.predicate(predicate, answer)
    return answer
  }
}

function entryPredicate<T>(predicate: Predicate, test: Clause['test'], evaluate: Closure<T>): Closure<T | boolean> {
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

/** The test that an operator or function of the name makes against a constant; operators by Mixer's names. */
export function clauseOf(name: string, constant: string): Clause | undefined {
  const test = testOf(name, constant)
  return test === undefined ? undefined : { test, equals: name === 'EQ' ? constant : undefined }
}

function testOf(name: string, constant: string): Clause['test'] | undefined {
  switch (name) {
    case 'EQ':
      return (text) => text === constant
    case 'NEQ':
      return (text) => text !== constant
    case 'startsWith':
      return (text) => text.startsWith(constant)
    case 'endsWith':
      return (text) => text.endsWith(constant)
    case 'contains':
      return (text) => text.includes(constant)
    case 'match':
      return (text) => match(text, constant)
    default:
      return undefined
  }
}
