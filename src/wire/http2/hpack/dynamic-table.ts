// The fields that a connection added to HPACK's table (RFC 7541, sections 2.3.2 and 4): a ring, the newest first.

import { FIELD_OVERHEAD } from './hpack-error.ts'

/** The table's size before any SETTINGS_HEADER_TABLE_SIZE (RFC 9113, section 6.5.2). */
export const DEFAULT_TABLE_BYTES = 4096
/** Most connections index few fields: the ring grows with them. */
const FIRST_SLOTS = 16

/** Told of each entry that leaves, with the number that `add` gave it. */
type Evicted = (name: string, value: string, number: number) => void

/** One direction's dynamic table. Entries are numbered as they are added, from 1; indexes count from the newest, 0. */
export class DynamicTable {
  #names: string[] = slots(FIRST_SLOTS)
  #values: string[] = slots(FIRST_SLOTS)
  #malformed = new Uint8Array(FIRST_SLOTS)
  #added = 0
  #count = 0
  #bytes = 0
  #capacity = DEFAULT_TABLE_BYTES
  readonly #evicted: Evicted | undefined
  /** Counts changes. */
  version = 0

  constructor(evicted?: Evicted) {
    this.#evicted = evicted
  }

  get count(): number {
    return this.#count
  }

  /** How many entries were added so far: the number of the newest. */
  get added(): number {
    return this.#added
  }

  /** The name at an index below `count`. */
  name(index: number): string {
    return this.#names[(this.#added - index) & (this.#names.length - 1)] as string
  }

  /** The value at an index below `count`. */
  value(index: number): string {
    return this.#values[(this.#added - index) & (this.#values.length - 1)] as string
  }

  /** What `add` was told of the field at an index below `count`. */
  malformed(index: number): boolean {
    return this.#malformed[(this.#added - index) & (this.#malformed.length - 1)] === 1
  }

  /** Adds a field; what is larger than the whole table empties it (section 4.4). */
  add(name: string, value: string, malformed = false): void {
    this.version++
    const size = name.length + value.length + FIELD_OVERHEAD
    this.#evictTo(this.#capacity - size)
    if (size > this.#capacity) return
    if (this.#count === this.#names.length) this.#grow()
    const slot = ++this.#added & (this.#names.length - 1)
    this.#names[slot] = name
    this.#values[slot] = value
    this.#malformed[slot] = malformed ? 1 : 0
    this.#count++
    this.#bytes += size
  }

  /** Changes the most octets that entries may have together; the oldest leave until they fit. */
  resize(capacity: number): void {
    this.version++
    this.#capacity = capacity
    this.#evictTo(capacity)
  }

  #evictTo(bytes: number): void {
    while (this.#bytes > bytes && this.#count > 0) {
      const number = this.#added - this.#count + 1
      const slot = number & (this.#names.length - 1)
      const name = this.#names[slot] as string
      const value = this.#values[slot] as string
      // So that what left can be collected.
      this.#names[slot] = ''
      this.#values[slot] = ''
      this.#bytes -= name.length + value.length + FIELD_OVERHEAD
      this.#count--
      this.#evicted?.(name, value, number)
    }
  }

  #grow(): void {
    const names = slots(this.#names.length * 2)
    const values = slots(names.length)
    const malformed = new Uint8Array(names.length)
    for (let number = this.#added - this.#count + 1; number <= this.#added; number++) {
      const from = number & (this.#names.length - 1)
      const to = number & (names.length - 1)
      names[to] = this.#names[from] as string
      values[to] = this.#values[from] as string
      malformed[to] = this.#malformed[from] as number
    }
    this.#names = names
    this.#values = values
    this.#malformed = malformed
  }
}

function slots(count: number): string[] {
  return new Array<string>(count).fill('')
}
