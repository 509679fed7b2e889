// The attributes of one check of a batch: numbers that lead to words, and values that are read when a rule asks for them.

import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import { Duration, Timestamp } from '../../kernel/time.ts'
import type { AttributeValue, StringMap } from '../../kernel/value.ts'
import { withLowerCaseNames } from '../header-map.ts'
import type { WireReader } from '../wire-reader.ts'
import { KINDS } from './attribute-kind.ts'
import type { PassingWords, Words } from './words.ts'

/** Above this many entries, looking through all of them for each key would cost more than building the map once. */
const SCAN_LIMIT = 64

/** In place of the place of a double: it is 0, which is left out. */
export const NO_VALUE = -1

/** Where the words of a check are. */
export interface WordSource {
  readonly words: Words
  readonly passing: PassingWords
}

/** What a check states. */
export interface Stated {
  /**
   * Of each attribute the number of its name, its kind, and a value: a word, the place of a map in `pairs`, or that of a
   * number in the bytes. Each name is there once.
   */
  readonly slots: readonly number[]
  /** Maps one after the other: the number of entries, then the words of key and value of each. */
  readonly pairs: readonly number[]
}

/** A bag over slots whose words are known to be there, and to be text or an address where they have to be. */
export class BatchBag implements AttributeBag {
  readonly #source: WordSource
  readonly #reader: WireReader
  readonly #stated: Stated
  #maps: Map<number, StringMap> | undefined

  /** @param reader over the bytes in which the places are, which must not change while the bag lives */
  constructor(source: WordSource, reader: WireReader, stated: Stated) {
    this.#source = source
    this.#reader = reader
    this.#stated = stated
  }

  get(name: string): AttributeValue | undefined {
    const number = this.#source.words.numberOf(name)
    if (number === undefined) return undefined
    const { slots } = this.#stated
    for (let slot = 0; slot < slots.length; slot += 3) if (slots[slot] === number) return this.#read(slot)
    return undefined
  }

  *names(): Generator<string> {
    const { slots } = this.#stated
    for (let slot = 0; slot < slots.length; slot += 3) yield this.#source.words.texts[slots[slot] ?? 0] ?? ''
  }

  /** Puts the names of a map of headers into lower case. @throws RefusedRequest as `addField` does */
  foldNames(slot: number): void {
    const map = this.#mapAt(slot)
    this.#maps?.set(slot, withLowerCaseNames(map))
  }

  #read(slot: number): AttributeValue {
    const { slots } = this.#stated
    const kind = slots[slot + 1]
    const value = slots[slot + 2] ?? 0
    if (kind === KINDS.text) return textOf(this.#source, value)
    if (kind === KINDS.map) return this.#mapAt(slot)
    if (kind === KINDS.address) return addressOf(this.#source, value)
    const reader = this.#reader
    reader.pos = value
    if (kind === KINDS.integer) return reader.sint64()
    if (kind === KINDS.boolean) return reader.sint32() !== 0
    if (kind === KINDS.time) return Timestamp.fromParts(reader.sint64(), Number(reader.sint64()))
    if (kind === KINDS.duration) return Duration.fromParts(reader.sint64(), Number(reader.sint64()))
    return value === NO_VALUE ? 0 : reader.double()
  }

  #mapAt(slot: number): StringMap {
    this.#maps ??= new Map()
    let map = this.#maps.get(slot)
    if (map === undefined) {
      map = new WordMap(this.#source, this.#stated.pairs, this.#stated.slots[slot + 2] ?? 0)
      this.#maps.set(slot, map)
    }
    return map
  }
}

function textOf({ words, passing }: WordSource, word: number): string {
  return word >= 0 ? (words.texts[word] ?? '') : passing.text(-word - 1)
}

function addressOf({ words, passing }: WordSource, word: number): Uint8Array {
  return (word >= 0 ? words.address(word) : undefined) ?? passing.address(-word - 1)
}

/** Of entries with one key the last counts, as in every protobuf map. */
class WordMap implements StringMap {
  readonly #source: WordSource
  readonly #pairs: readonly number[]
  readonly #start: number
  readonly #end: number
  #built: Map<string, string> | undefined

  /** @param at where in `pairs` the number of entries stands; they follow */
  constructor(source: WordSource, pairs: readonly number[], at: number) {
    this.#source = source
    this.#pairs = pairs
    this.#start = at + 1
    this.#end = at + 1 + (pairs[at] ?? 0) * 2
  }

  get size(): number {
    return this.#build().size
  }

  get(key: string): string | undefined {
    if (this.#built !== undefined || this.#end - this.#start > SCAN_LIMIT * 2) return this.#build().get(key)
    const { words, passing } = this.#source
    const number = words.numberOf(key)
    for (let at = this.#end - 2; at >= this.#start; at -= 2) {
      const word = this.#pairs[at] ?? 0
      const isKey = word >= 0 ? number !== undefined && words.first[word] === number : passing.isSame(-word - 1, key)
      if (isKey) return textOf(this.#source, this.#pairs[at + 1] ?? 0)
    }
    return undefined
  }

  entries(): Iterable<[string, string]> {
    return this.#build().entries()
  }

  #build(): Map<string, string> {
    if (this.#built !== undefined) return this.#built
    const built = new Map<string, string>()
    for (let at = this.#start; at < this.#end; at += 2) {
      built.set(textOf(this.#source, this.#pairs[at] ?? 0), textOf(this.#source, this.#pairs[at + 1] ?? 0))
    }
    this.#built = built
    return built
  }
}
