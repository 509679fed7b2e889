// Whether an attribute's value is one of those that an index knows. Logging the answer instead of the value keeps
// requests with different unknown values one and the same request for the verdict cache.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Predicate, ReadLog } from '../kernel/read-log.ts'
import { travelling } from '../expression/subject-test.ts'
import type { PlainValue, SubjectTest } from '../kernel/subject-test.ts'
import { digestOf } from './digest.ts'
import { type AttributeSlot, SlotLookup } from './slot-lookup.ts'

/** Looks attribute values up among known ones and logs what the outcome depended on. */
export class Membership<T> extends SlotLookup<T> implements Predicate {
  readonly id: string
  readonly #known: ReadonlyMap<PlainValue, T>

  /** `foreign`: see `SlotLookup`. The known values all have one type. */
  constructor(slot: AttributeSlot, known: ReadonlyMap<PlainValue, T>, foreign?: () => T) {
    super(slot, typeof (known.keys().next().value ?? ''), foreign)
    this.#known = known
    this.id = `one-of:${JSON.stringify([slot.attribute, slot.mapKey])}:${digestOf([...known.keys()].map(textOf).toSorted())}`
  }

  test(bag: AttributeBag): boolean | undefined {
    const value = this.valueIn(bag)
    return value === undefined ? undefined : this.#known.has(value)
  }

  travels(): SubjectTest | undefined {
    return travelling({ op: 'oneOf', values: [...this.#known.keys()] })
  }

  protected found(value: PlainValue, log: ReadLog | undefined): T | undefined {
    const found = this.#known.get(value)
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
