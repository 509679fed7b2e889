// Looking up what is known under the value of one attribute, or of one key of a map attribute.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import type { PlainValue } from '../kernel/subject-test.ts'
import { type AttributeValue, isAmbiguous, isStringMap } from '../kernel/value.ts'

/** One attribute, or one key of a map attribute. */
export interface AttributeSlot {
  readonly attribute: string
  readonly mapKey: string | undefined
}

/** What all look-ups by a slot have in common: how it is read, and what is found where there is no value to look up. */
export abstract class SlotLookup<T> {
  readonly attribute: string
  readonly mapKey: string | undefined
  readonly #type: string
  readonly #foreign: (() => T) | undefined

  /**
   * @param type what `typeof` says of all values that are known
   * @param foreign gives what is found for a value that rules out none of the known ones: it is unknown, ambiguous, or of
   * another type than theirs
   */
  constructor({ attribute, mapKey }: AttributeSlot, type: string, foreign?: () => T) {
    this.attribute = attribute
    this.mapKey = mapKey
    this.#type = type
    this.#foreign = foreign
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
    if (this.mapKey === undefined) return this.found(whole as PlainValue, log)
    if (!isStringMap(whole)) return undefined
    const value = whole.get(this.mapKey)
    const rulesOut = !isAmbiguous(whole, this.mapKey)
    if (value !== undefined && rulesOut) return this.found(value, log)
    log?.mapKey(this.attribute, this.mapKey, value)
    return rulesOut ? undefined : this.#foreign?.()
  }

  /** What is known under a value of the right type; the log hears what of the value it hangs on. */
  protected abstract found(value: PlainValue, log: ReadLog | undefined): T | undefined

  /** The value that is looked up; `undefined` where there is none. */
  protected valueIn(bag: AttributeBag): PlainValue | undefined {
    const whole = bag.get(this.attribute)
    if (whole === undefined || this.#isForeign(whole)) return undefined
    if (this.mapKey === undefined) return whole as PlainValue
    return isStringMap(whole) && !isAmbiguous(whole, this.mapKey) ? whole.get(this.mapKey) : undefined
  }

  /** A bag may hold a value of another type than the vocabulary declares. */
  #isForeign(value: AttributeValue): boolean {
    return this.mapKey === undefined ? typeof value !== this.#type : !(typeof value === 'object' && isStringMap(value))
  }
}
