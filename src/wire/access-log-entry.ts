// One entry of an access log message, as an index over the message's bytes: what it says and where, as numbers only.

import type { StringMap } from '../kernel/value.ts'
import { Kind, KINDS, Slot } from './access-log-fields.ts'
import { type FilterMetadata, readFilterMetadata } from './filter-metadata.ts'
import { TextMap } from './text-map.ts'
import { isSameField, isSameVarint } from './text-bytes.ts'
import type { WireReader } from './wire-reader.ts'

/** What the entries of one message share. */
export interface AccessLogIndex {
  /** Its end at that of the message. */
  readonly reader: WireReader
  /** Lists of places, by what slots say. */
  readonly lists: readonly (readonly number[])[]
  /** The place of the id of the proxy that wrote the entries. */
  readonly reporter: number
}

const NO_PLACES: readonly number[] = []

/** What it says was checked when it was indexed, so reading it cannot fail. Numbers are 0 and texts empty where absent. */
export class AccessLogEntry {
  readonly #index: AccessLogIndex
  readonly #slots: readonly number[]
  #metadata: FilterMetadata | undefined

  constructor(index: AccessLogIndex, slots: readonly number[]) {
    this.#index = index
    this.#slots = slots
  }

  get reporter(): string {
    return this.#index.reader.textAt(this.#index.reporter)
  }

  has(slot: Slot): boolean {
    return this.#slots[slot] !== 0
  }

  /** What the slot holds, as its kind says. */
  raw(slot: Slot): number {
    return this.#slots[slot] ?? 0
  }

  text(slot: Slot): string {
    return this.textAt(this.raw(slot))
  }

  textAt(place: number): string {
    return this.#index.reader.textAt(place)
  }

  /** The low 32 bits of a number, signed. */
  int32(slot: Slot): number {
    const place = this.raw(slot)
    if (place === 0) return 0
    this.#index.reader.pos = place
    return this.#index.reader.varint32()
  }

  int64(slot: Slot): bigint {
    const place = this.raw(slot)
    if (place === 0) return 0n
    this.#index.reader.pos = place
    return this.#index.reader.int64()
  }

  uint64(slot: Slot): bigint {
    const value = this.int64(slot)
    return value < 0n ? BigInt.asUintN(64, value) : value
  }

  /** The places of a map's keys and values, or of choices. */
  places(slot: Slot): readonly number[] {
    return this.#index.lists[this.raw(slot) - 1] ?? NO_PLACES
  }

  /** The map whose keys and values lie at these places, without the key `hidden`. */
  map(places: readonly number[], hidden?: string): StringMap {
    return new TextMap(this.#index.reader, places, hidden)
  }

  get metadata(): FilterMetadata | undefined {
    if (this.#metadata !== undefined || !this.has(Slot.metadata)) return this.#metadata
    const parts = this.places(Slot.metadata).map((place) => this.#index.reader.bytesAt(place))
    return (this.#metadata = readFilterMetadata(parts))
  }

  /** Whether both are of one message, so that they can be compared. */
  isBeside(other: AccessLogEntry): boolean {
    return other.#index === this.#index
  }

  /** Whether an entry of the same message holds the same bytes there: then all that is read there is the same. */
  isSame(slot: Slot, other: AccessLogEntry): boolean {
    const own = this.raw(slot)
    const theirs = other.raw(slot)
    if (own === 0 || theirs === 0) return own === theirs
    const { bytes } = this.#index.reader
    switch (KINDS[slot]) {
      case Kind.message:
        return true
      case Kind.flags:
        return own === theirs
      case Kind.number:
        return isSameVarint(bytes, own, theirs)
      case Kind.text:
        return this.#isSameText(own, theirs)
      default:
        return this.#isSameList(this.places(slot), other.places(slot))
    }
  }

  #isSameList(own: readonly number[], theirs: readonly number[]): boolean {
    return own.length === theirs.length && own.every((place, at) => this.#isSameText(place, theirs[at] ?? 0))
  }

  #isSameText(own: number, theirs: number): boolean {
    if (own === 0 || theirs === 0) return own === theirs
    const { reader } = this.#index
    reader.pos = own
    return isSameField(reader.bytes, own, reader.enter(), theirs)
  }
}
