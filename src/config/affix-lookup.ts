// Which of the texts that an index knows a value begins, or ends, with. What is logged is the answer, so that all values
// with one answer are one and the same request for the verdict cache.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { AffixTrie } from '../expression/affix-trie.ts'
import { travelling } from '../expression/subject-test.ts'
import type { Predicate, ReadLog } from '../kernel/read-log.ts'
import type { PlainValue, Side } from '../kernel/subject-test.ts'
import { digestOf } from './digest.ts'
import { type AttributeSlot, SlotLookup } from './slot-lookup.ts'

/** What is known under one text, and the predicate that tells whether it is the longest known one; made when needed. */
interface Known<T> {
  readonly affix: string | undefined
  readonly value: T | undefined
  predicate: Predicate | undefined
}

/** Finds what is known under the longest known beginning (or ending) of a value. */
export class AffixLookup<T> extends SlotLookup<T> {
  readonly #id: string
  readonly #side: Side
  readonly #texts: readonly string[]
  readonly #trie: AffixTrie<Known<T>>
  readonly #none: Known<T> = { affix: undefined, value: undefined, predicate: undefined }

  /** `foreign`: see `SlotLookup`. */
  constructor(slot: AttributeSlot, side: Side, known: ReadonlyMap<string, T>, foreign: () => T) {
    super(slot, 'string', foreign)
    this.#side = side
    this.#texts = [...known.keys()].toSorted()
    this.#trie = new AffixTrie(side)
    for (const [affix, value] of known) this.#trie.set(affix, { affix, value, predicate: undefined })
    const place = JSON.stringify([slot.attribute, slot.mapKey])
    this.#id = `longest-${side}:${place}:${digestOf(this.#texts)}`
  }

  protected found(value: PlainValue, log: ReadLog | undefined): T | undefined {
    const known = this.#longest(value)
    if (log !== undefined) log.predicate((known.predicate ??= this.#predicateOf(known)), true)
    return known.value
  }

  #longest(value: PlainValue): Known<T> {
    return (typeof value === 'string' ? this.#trie.longest(value) : undefined) ?? this.#none
  }

  /** Whether the longest known text is this one, or that there is none: it decides what is found. */
  #predicateOf(known: Known<T>): Predicate {
    return {
      id: `${this.#id}:${known.affix === undefined ? 'none' : JSON.stringify(known.affix)}`,
      attribute: this.attribute,
      mapKey: this.mapKey,
      test: (bag: AttributeBag) => {
        const value = this.valueIn(bag)
        return value === undefined ? undefined : this.#longest(value) === known
      },
      travels: () => travelling({ op: 'longest', side: this.#side, known: this.#texts, affix: known.affix }),
    }
  }
}
