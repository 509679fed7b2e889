// The questions that evaluations ask of bags. They can be told as data, so that an answer's steps can be asked in another
// process (see `stepOf`).

import { testPredicate } from '../expression/test-predicate.ts'
import type { ReadKind, ReadOutcome, ReadQuestion } from '../kernel/answer-shape.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Predicate } from '../kernel/read-log.ts'
import { type AttributeValue, isAmbiguous, isStringMap } from '../kernel/value.ts'
import { canonicalValue } from './canonical-value.ts'

/**
 * One question that an evaluation asks a bag. `outcome` says how the bag answers, as far as the next question can
 * depend on it without the value; `value` is what must enter the key (empty where the outcome says it all). A map
 * that is not there at all (`no-map`) is told apart from a map that lacks the key: expressions can tell them apart too.
 * What is `unknown`, or ambiguous, is no answer: no evaluation that met it is kept, so such a bag finds none.
 */
export interface ReadStep {
  readonly kind: ReadKind
  readonly name: string
  /** Two steps with one id ask the same. */
  readonly id: string
  readonly key: string | undefined
  readonly whole: boolean
  /** The question for another process; `undefined` for a predicate that cannot be told. */
  travels(): ReadQuestion | undefined
  answer(bag: AttributeBag): StepAnswer
}

export interface StepAnswer {
  readonly outcome: ReadOutcome
  readonly value: string
}

export const ABSENT: StepAnswer = { outcome: 'absent', value: '' }
export const TRUE: StepAnswer = { outcome: 'true', value: '' }
export const FALSE: StepAnswer = { outcome: 'false', value: '' }
const UNKNOWN: StepAnswer = { outcome: 'unknown', value: '' }
const NO_MAP: StepAnswer = { outcome: 'no-map', value: '' }
const PRESENT: StepAnswer = { outcome: 'present', value: '' }

/** How a value answers the step of an attribute. */
export function scalarAnswer(value: AttributeValue | undefined): StepAnswer {
  if (value === undefined) return ABSENT
  if (typeof value === 'object' && isStringMap(value)) return PRESENT
  return { outcome: 'present', value: canonicalValue(value) }
}

function keyAnswer(map: AttributeValue | undefined, key: string): StepAnswer {
  if (map === undefined || typeof map !== 'object' || !isStringMap(map)) return NO_MAP
  if (isAmbiguous(map, key)) return UNKNOWN
  const value = map.get(key)
  return value === undefined ? ABSENT : { outcome: 'present', value: canonicalValue(value) }
}

/** How a value answers the step of a whole map. */
export function wholeAnswer(map: AttributeValue | undefined): StepAnswer {
  if (map === undefined) return ABSENT
  return isAmbiguous(map, undefined) ? UNKNOWN : { outcome: 'present', value: canonicalValue(map) }
}

export const attributeId = (name: string): string => `a${name}`
export const keyId = (name: string, key: string): string => `k${name.length}:${name}${key}`
export const wholeId = (name: string): string => `w${name}`

class Step implements ReadStep {
  readonly kind: ReadKind
  readonly id: string
  readonly name: string
  readonly key: string | undefined
  readonly whole: boolean
  readonly #predicate: Predicate | undefined

  constructor(kind: ReadKind, id: string, name: string, key?: string, predicate?: Predicate) {
    this.kind = kind
    this.id = id
    this.name = name
    this.key = key
    this.whole = kind === 'map'
    this.#predicate = predicate
  }

  travels(): ReadQuestion | undefined {
    const { kind, name, key } = this
    if (this.#predicate === undefined) return { kind, name, key }
    const test = this.#predicate.travels()
    return test === undefined ? undefined : { kind, name, key, test }
  }

  answer(bag: AttributeBag): StepAnswer {
    const predicate = this.#predicate
    if (predicate !== undefined) {
      const answer = predicate.test(bag)
      return answer === undefined ? ABSENT : answer ? TRUE : FALSE
    }
    const value = bag.get(this.name)
    if (value === undefined && bag.unknown?.(this.name) !== undefined) return UNKNOWN
    if (this.key !== undefined) return keyAnswer(value, this.key)
    return this.whole ? wholeAnswer(value) : scalarAnswer(value)
  }
}

export function attributeStep(name: string): ReadStep {
  return new Step('attribute', attributeId(name), name)
}

export function keyStep(name: string, key: string): ReadStep {
  return new Step('key', keyId(name, key), name, key)
}

export function wholeStep(name: string): ReadStep {
  return new Step('map', wholeId(name), name)
}

export function predicateStep(predicate: Predicate): ReadStep {
  return new Step('predicate', `p${predicate.id}`, predicate.attribute, predicate.mapKey, predicate)
}

/**
 * The step that its data, written by whichever process, stands for.
 * @returns `undefined` for data that is no step
 */
export function stepOf({ kind, name, key, test }: ReadQuestion): ReadStep | undefined {
  if (kind === 'attribute') return attributeStep(name)
  if (kind === 'map') return wholeStep(name)
  if (kind === 'key') return key === undefined ? undefined : keyStep(name, key)
  return test === undefined ? undefined : predicateStep(testPredicate({ attribute: name, mapKey: key }, test))
}
