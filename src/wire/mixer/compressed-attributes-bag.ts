// An attribute bag over the bytes of a CompressedAttributes message: a value is decoded when a rule reads it, once.

import type { AttributeBag, Vocabulary } from '../../kernel/attribute-bag.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { RefusedRequest } from '../../kernel/refused-request.ts'
import { Duration, Timestamp } from '../../kernel/time.ts'
import type { AttributeValue, ValueType } from '../../kernel/value.ts'
import { withLowerCaseNames } from '../header-map.ts'
import { HEADER_MAPS } from '../request-headers.ts'
import {
  AttributeIndex,
  BOOLS,
  BYTE_STRINGS,
  DOUBLES,
  DURATIONS,
  INT64S,
  NO_VALUE,
  STRING_MAPS,
  STRINGS,
  TIMESTAMPS,
} from './attribute-index.ts'
import { LazyStringMap } from './lazy-string-map.ts'
import { WireReader } from '../wire-reader.ts'
import type { WordTable } from './word-table.ts'

const FIELD_OF: Readonly<Record<ValueType, number>> = {
  STRING: STRINGS,
  EMAIL_ADDRESS: STRINGS,
  URI: STRINGS,
  DNS_NAME: STRINGS,
  INT64: INT64S,
  DOUBLE: DOUBLES,
  BOOL: BOOLS,
  TIMESTAMP: TIMESTAMPS,
  DURATION: DURATIONS,
  IP_ADDRESS: BYTE_STRINGS,
  STRING_MAP: STRING_MAPS,
}

/**
 * Why an attribute that a message holds is absent from its bag: no dictionary defines one of its indexes, or its value
 * is not of the type that the vocabulary declares.
 */
export type Anomaly = 'undefined-index' | 'type-mismatch'

/** Hears of each anomaly once per message; `subject` is the index or the attribute's name. */
type AnomalyListener = (anomaly: Anomaly, subject: number | string) => void

interface BagOptions {
  readonly vocabulary: Vocabulary
  /** Words for a message that brings none of its own. */
  readonly defaultWords?: WordTable
  readonly onAnomaly?: AnomalyListener
  /** Most entries of all maps together. Default 10 000. */
  readonly maxMapEntries?: number
}

/**
 * A value of another type than the vocabulary declares counts as absent, an IP address of neither 4 nor 16 bytes
 * too: expressions are checked against the vocabulary and may rely on it. Names that it lacks come as the wire has them.
 */
export class CompressedAttributesBag implements AttributeBag {
  readonly #index: AttributeIndex
  readonly #reader: WireReader
  readonly #options: BagOptions
  /** Of a report's many bags, most are asked for next to nothing. */
  #values: Map<string, AttributeValue | undefined> | undefined

  /** @param reader over the bytes that the index was made from, its end at theirs; bags of one batch may share it. */
  constructor(index: AttributeIndex, reader: WireReader, options: BagOptions) {
    this.#index = index
    this.#reader = reader
    this.#options = options
    if (options.onAnomaly !== undefined) for (const word of index.unknown) options.onAnomaly('undefined-index', word)
  }

  /**
   * Takes the bytes of one message; they must not change while the bag lives.
   * Throws `INVALID_REQUEST` where they are malformed or state an attribute twice.
   */
  static decode(bytes: Uint8Array, options: BagOptions): CompressedAttributesBag {
    const reader = new WireReader(bytes)
    const index = new AttributeIndex(reader, options.defaultWords, options.maxMapEntries)
    if (index.duplicate !== undefined)
      throw new IntermixError('INVALID_REQUEST', `duplicate attribute ${index.duplicate}`)
    return new CompressedAttributesBag(index, reader, options)
  }

  /**
   * As `decode`, for a check, where no rule shall run on the absence of what the caller meant to say: throws
   * `RefusedRequest` for text that is not UTF-8, for IP addresses of neither 4 nor 16 bytes and for headers that come
   * twice but for the case of their names; names of headers are in lower case.
   */
  static decodeStrictly(bytes: Uint8Array, options: BagOptions): CompressedAttributesBag {
    const bag = CompressedAttributesBag.decode(bytes, options)
    const word = bag.#index.words.firstIllFormed()
    if (word !== undefined) throw new RefusedRequest('ill-formed', `word ${word} of the attributes is not UTF-8`)
    bag.#refuseWrongAddresses()
    for (const name of HEADER_MAPS) bag.#foldNames(name)
    return bag
  }

  get(name: string): AttributeValue | undefined {
    const known = this.#values?.get(name)
    if (known !== undefined || this.#values?.has(name) === true) return known
    const slot = this.#index.slotOf(name)
    if (slot === undefined) return undefined
    const value = this.#decode(name, slot)
    this.#keep(name, value)
    return value
  }

  *names(): Generator<string> {
    for (const name of this.#index.names) if (this.get(name) !== undefined) yield name
  }

  #keep(name: string, value: AttributeValue | undefined): void {
    this.#values ??= new Map()
    this.#values.set(name, value)
  }

  #refuseWrongAddresses(): void {
    const { fields, values } = this.#index
    let wrong = false
    for (let slot = 0; slot < fields.length; slot++) {
      if (fields[slot] === BYTE_STRINGS && !isAddressOf(this.#length(values[slot] ?? NO_VALUE))) wrong = true
    }
    if (!wrong) return
    for (const name of this.#index.names) {
      const slot = this.#index.slotOf(name) ?? 0
      if (fields[slot] !== BYTE_STRINGS || this.#options.vocabulary.get(name) !== 'IP_ADDRESS') continue
      const bytes = this.#bytes(values[slot] ?? NO_VALUE)
      if (isAddressOf(bytes.length)) continue
      const message = `${name} is an IP address of ${bytes.length} bytes and must have 4 or 16`
      throw new RefusedRequest('invalid-value', message)
    }
  }

  #foldNames(name: string): void {
    const headers = this.get(name)
    if (headers instanceof LazyStringMap && headers.hasCapitals()) this.#keep(name, withLowerCaseNames(headers))
  }

  #decode(name: string, slot: number): AttributeValue | undefined {
    const field = this.#index.fields[slot] ?? 0
    const type = this.#options.vocabulary.get(name)
    if (type !== undefined && FIELD_OF[type] !== field) return this.#mismatch(name)
    const value = this.#index.values[slot] ?? NO_VALUE
    switch (field) {
      case STRINGS:
        return this.#text(value)
      case STRING_MAPS:
        return value === NO_VALUE ? new Map() : new LazyStringMap(this.#index.words, this.#index.pairs, value)
      case BYTE_STRINGS: {
        const bytes = this.#bytes(value)
        return type === 'IP_ADDRESS' && !isAddressOf(bytes.length) ? this.#mismatch(name) : bytes
      }
      default:
        return this.#number(field, value)
    }
  }

  #text(index: number): string | undefined {
    const text = this.#index.words.text(index)
    if (text === undefined) this.#options.onAnomaly?.('undefined-index', index)
    return text
  }

  #mismatch(name: string): undefined {
    this.#options.onAnomaly?.('type-mismatch', name)
  }

  #bytes(at: number): Uint8Array {
    return at === NO_VALUE ? new Uint8Array(0) : this.#reader.bytesAt(at)
  }

  #length(at: number): number {
    if (at === NO_VALUE) return 0
    this.#reader.pos = at
    return this.#reader.enter() - this.#reader.pos
  }

  #number(field: number, at: number): AttributeValue {
    const reader = this.#reader
    reader.pos = at
    const given = at !== NO_VALUE
    if (field === INT64S) return given ? reader.int64() : 0n
    if (field === DOUBLES) return given ? reader.double() : 0
    if (field === BOOLS) return given && reader.int64() !== 0n
    const { seconds, nanos } = given ? secondsAndNanos(reader) : { seconds: 0n, nanos: 0 }
    return field === TIMESTAMPS ? Timestamp.fromParts(seconds, nanos) : Duration.fromParts(seconds, nanos)
  }
}

function isAddressOf(length: number): boolean {
  return length === 4 || length === 16
}

function secondsAndNanos(reader: WireReader): { seconds: bigint; nanos: number } {
  const outer = reader.open()
  let seconds = 0n
  let nanos = 0
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 8) seconds = reader.int64()
    else if (tag === 16) nanos = reader.varint32()
    else reader.skip(tag)
  }
  reader.close(outer)
  return { seconds, nanos }
}
