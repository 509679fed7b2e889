// Whether an attribute's value is one of those that an index knows. Logging the answer instead of the value keeps
// requests with different unknown values one and the same request for the verdict cache.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Predicate, ReadLog } from '../kernel/read-log.ts'
import { type AttributeValue, isAmbiguous, isStringMap } from '../kernel/value.ts'
import { digestOf } from './digest.ts'

/** One attribute, or one key of a map attribute. */
export interface AttributeSlot {
  readonly attribute: string
  readonly mapKey: string | undefined
}

/** Values that are equal exactly when their JavaScript values are. */
export type PlainValue = string | bigint | boolean

/** Looks attribute values up among known ones and logs what the outcome depended on. */
export class Membership<T> implements Predicate {
  readonly id: string
  readonly attribute: string
  readonly mapKey: string | undefined
  readonly #known: ReadonlyMap<PlainValue, T>
  readonly #type: string
  readonly #foreign: (() => T) | undefined

  /**
   * `foreign` gives what is found for a value that rules out none of the known ones: it is unknown, ambiguous, or of
   * another type than theirs, which all have one.
   */
  constructor(slot: AttributeSlot, known: ReadonlyMap<PlainValue, T>, foreign?: () => T) {
    this.attribute = slot.attribute
    this.mapKey = slot.mapKey
    this.#known = known
    this.#type = typeof (known.keys().next().value ?? '')
    this.#foreign = foreign
    this.id = `one-of:${JSON.stringify([slot.attribute, slot.mapKey])}:${digestOf([...known.keys()].map(textOf).toSorted())}`
  }

  /** What is known under the value; `undefined` for an absent or an unknown value. */
  find(bag: AttributeBag, log: ReadLog | undefined): T | undefined {
    const whole = bag.get(this.attribute)
    if (whole === undefined) {
      log?.attribute(this.attribute, undefined)
      return bag.unknown?.(this.attribute) === undefined ? undefined : this.#foreign?.()
    }
    if (this.#isForeign(whole)) {
      log?.attribute(this.attribute, whole)
      return this.#foreign?.()
    }
    if (this.mapKey === undefined) return this.#found(whole, log)
    if (!isStringMap(whole)) return undefined
    const value = whole.get(this.mapKey)
    const rulesOut = !isAmbiguous(whole, this.mapKey)
    if (value !== undefined && rulesOut) return this.#found(value, log)
    log?.mapKey(this.attribute, this.mapKey, value)
    return rulesOut ? undefined : this.#foreign?.()
  }

  test(bag: AttributeBag): boolean | undefined {
    const whole = bag.get(this.attribute)
    if (whole === undefined || this.#isForeign(whole)) return undefined
    if (this.mapKey === undefined) return this.#known.has(whole as PlainValue)
    const value = isStringMap(whole) ? whole.get(this.mapKey) : undefined
    return value === undefined || isAmbiguous(whole, this.mapKey) ? undefined : this.#known.has(value)
  }

  /** A bag may hold a value of another type than the vocabulary declares. */
  #isForeign(value: AttributeValue): boolean {
    return this.mapKey === undefined ? typeof value !== this.#type : !(typeof value === 'object' && isStringMap(value))
  }

  #found(value: AttributeValue, log: ReadLog | undefined): T | undefined {
    const found = this.#known.get(value as PlainValue)
    if (log === undefined) return found
    log.predicate(this, found !== undefined)
    if (found === undefined) return undefined
    if (this.mapKey === undefined) log.attribute(this.attribute, value)
    else if (typeof value === 'string') log.mapKey(this.attribute, this.mapKey, value)
    return found
  }
}

/** Tells values of different types apart. */
function textOf(value: PlainValue): string {
  return `${typeof value}:${value}`
}
