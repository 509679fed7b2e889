// One pass over an encoded istio.mixer.v1.CompressedAttributes: what it defines and where, as numbers only.

import { IntermixError } from '../../kernel/errors.ts'
import { RefusedRequest } from '../../kernel/refused-request.ts'
import { GLOBAL_INDEX, GLOBAL_WORDS } from './dictionary.ts'
import { SlotTable } from './slot-table.ts'
import { BYTES, FIXED64, VARINT, type WireReader } from '../wire-reader.ts'
import { WordTable } from './word-table.ts'

/** Field numbers of CompressedAttributes: one map for each wire type of a value. */
export const STRINGS = 2
export const INT64S = 3
export const DOUBLES = 4
export const BOOLS = 5
export const TIMESTAMPS = 6
export const DURATIONS = 7
export const BYTE_STRINGS = 8
export const STRING_MAPS = 9

/** By field number: the wire type of a map entry's value. */
const WIRE_TYPES = [BYTES, BYTES, VARINT, VARINT, FIXED64, VARINT, BYTES, BYTES, BYTES, BYTES]

/** Words and attributes together: a proxy's request has some hundred. Also of map entries, where nothing else is said. */
const MAX_ITEMS = 10_000

/** The value of a slot that the wire leaves out: the type's default. */
export const NO_VALUE = -1

/**
 * The compact index of one message. The whole message is checked for structure here, so that reading a value later
 * cannot fail. Names become strings only where the message spells them itself.
 */
export class AttributeIndex {
  /** Where the message's indexes lead: its own words, or the default ones where it has none. */
  readonly words: WordTable
  /** By slot: the field that holds the value. */
  readonly fields: number[] = []
  /**
   * By slot: a word's index (strings), a position in `pairs` (string maps) or the value's place in the bytes;
   * `NO_VALUE` for a default.
   */
  readonly values: number[] = []
  /** String maps one after the other: the number of entries, then key and value index of each. */
  readonly pairs: number[] = []
  /** Indexes of names that no dictionary defines; their attributes are absent. */
  readonly unknown: number[] = []
  /** Name of an attribute that is stated twice, under two types or by two indexes: the message is ambiguous. */
  duplicate: string | undefined
  readonly #names = new SlotTable()
  #spelled: Map<string, number> | undefined
  #allNames: readonly string[] | undefined
  readonly #maxMapEntries: number
  #entries = 0
  #irregular = false
  #twice: number | undefined

  /**
   * Indexes the message between the reader's position and its end. Throws `INVALID_REQUEST` where it is malformed or too
   * large.
   */
  constructor(reader: WireReader, defaultWords?: WordTable, maxMapEntries = MAX_ITEMS) {
    this.#maxMapEntries = maxMapEntries
    const own = new WordTable(reader.bytes)
    let items = 0
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (++items > MAX_ITEMS) throw tooLarge('words and attributes')
      const field = tag >>> 3
      if (field > STRING_MAPS) reader.skip(tag)
      else {
        reader.expect(tag, BYTES)
        if (field === 1) {
          const end = reader.enter()
          own.add(reader.pos, end)
          reader.pos = end
        } else if (field === STRINGS && reader.pair()) this.#define(reader.first, field, reader.second)
        else this.#entry(reader, field)
      }
    }
    this.words = own.size === 0 && defaultWords !== undefined ? defaultWords : own
    if (this.#irregular) this.#resolveNames()
    if (this.#twice !== undefined) this.duplicate ??= this.words.text(this.#twice)
  }

  /** The slot of an attribute, or `undefined` where the message does not define it. */
  slotOf(name: string): number | undefined {
    const index = GLOBAL_INDEX.get(name)
    return index === undefined ? this.#spelled?.get(name) : this.#names.slotOf(index)
  }

  /** Names of all attributes that the message defines. */
  get names(): readonly string[] {
    if (this.#allNames !== undefined) return this.#allNames
    const names: string[] = []
    for (const index of this.#names.indexes) if (index !== MOVED) names.push(GLOBAL_WORDS[index] ?? '')
    if (this.#spelled !== undefined) names.push(...this.#spelled.keys())
    return (this.#allNames = names)
  }

  /** The first index, of names, values and map entries alike, that no dictionary defines. */
  firstUndefinedIndex(): number | undefined {
    if (this.unknown.length > 0) return this.unknown[0]
    for (let slot = 0; slot < this.fields.length; slot++) {
      if (this.fields[slot] !== STRINGS) continue
      const index = this.values[slot] ?? 0
      if (!this.words.has(index)) return index
    }
    for (let at = 0; at < this.pairs.length; ) {
      const end = at + 1 + (this.pairs[at] ?? 0) * 2
      for (at++; at < end; at++) {
        const index = this.pairs[at] ?? 0
        if (!this.words.has(index)) return index
      }
    }
    return undefined
  }

  #entry(reader: WireReader, field: number): void {
    const outer = reader.open()
    let name = 0
    let value = field === STRINGS ? 0 : NO_VALUE
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === 8) name = reader.sint32()
      else if (tag >>> 3 === 2) value = this.#value(reader, field, tag)
      else {
        if (tag >>> 3 === 1) reader.expect(tag, VARINT)
        reader.skip(tag)
      }
    }
    reader.close(outer)
    this.#define(name, field, value)
  }

  #value(reader: WireReader, field: number, tag: number): number {
    reader.expect(tag, WIRE_TYPES[field] ?? BYTES)
    if (field === STRINGS) return reader.sint32()
    if (field === STRING_MAPS) return this.#stringMap(reader)
    const at = reader.pos
    if (field === TIMESTAMPS || field === DURATIONS) checkSecondsAndNanos(reader)
    else reader.skip(tag)
    return at
  }

  #stringMap(reader: WireReader): number {
    const outer = reader.open()
    const at = this.pairs.length
    this.pairs.push(0)
    let count = 0
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 !== 1) reader.skip(tag)
      else {
        reader.expect(tag, BYTES)
        if (reader.pair()) this.pairs.push(reader.first, reader.second)
        else this.#pair(reader)
        if (++this.#entries > this.#maxMapEntries) throw tooManyEntries(this.#maxMapEntries)
        count++
      }
    }
    this.pairs[at] = count
    reader.close(outer)
    return at
  }

  #pair(reader: WireReader): void {
    const outer = reader.open()
    let key = 0
    let value = 0
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === 8) key = reader.sint32()
      else if (tag === 16) value = reader.sint32()
      else {
        if (tag >>> 3 < 3) reader.expect(tag, VARINT)
        reader.skip(tag)
      }
    }
    reader.close(outer)
    this.pairs.push(key, value)
  }

  /** A later entry of the same map replaces an earlier one, as in every protobuf map. */
  #define(name: number, field: number, value: number): void {
    const slot = this.#names.define(name)
    if (slot < this.fields.length) {
      if (this.fields[slot] !== field) this.#twice ??= name
      else this.values[slot] = value
      return
    }
    this.fields.push(field)
    this.values.push(value)
    if (name < 0 || name >= GLOBAL_WORDS.length) this.#irregular = true
  }

  /** Leaves only global indexes in `#names`: words that the message spells move under their text. */
  #resolveNames(): void {
    for (let slot = 0; slot < this.fields.length; slot++) {
      const index = this.#names.indexes[slot] ?? 0
      if (index >= 0 && index < GLOBAL_WORDS.length) continue
      const name = this.words.text(index)
      if (name === undefined) this.unknown.push(index)
      this.#names.rename(slot, name === undefined ? MOVED : this.#spell(name, slot))
    }
  }

  /** The global index of a name that the message spells, or `MOVED` where it has none. */
  #spell(name: string, slot: number): number {
    const index = GLOBAL_INDEX.get(name)
    if (index !== undefined) {
      if (this.#names.slotOf(index) === undefined) return index
      this.duplicate ??= name
      return MOVED
    }
    this.#spelled ??= new Map()
    if (this.#spelled.has(name)) this.duplicate ??= name
    else this.#spelled.set(name, slot)
    return MOVED
  }
}

/** In place of an index: the name is known by its text, or not at all. */
const MOVED = GLOBAL_WORDS.length

function tooLarge(what: string): IntermixError {
  return new IntermixError('INVALID_REQUEST', `more than ${MAX_ITEMS} ${what} in one set of attributes; send fewer`)
}

function tooManyEntries(most: number): IntermixError {
  const message = `more than ${most} map entries in one set of attributes; send fewer`
  return new RefusedRequest('too-large', message, 'raise --max-map-entries')
}

/** Walks a Timestamp or a Duration, so that reading it later cannot fail. */
function checkSecondsAndNanos(reader: WireReader): void {
  const outer = reader.open()
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 < 3) reader.expect(tag, VARINT)
    reader.skip(tag)
  }
  reader.close(outer)
}
