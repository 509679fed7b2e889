// Encodes the header blocks of a connection of ours with a dynamic table: a request that repeats itself becomes a few octets.

import { DEFAULT_TABLE_BYTES, DynamicTable } from './dynamic-table.ts'
import { type Field, FIELD_OVERHEAD } from './hpack-error.ts'
import { assertOctets, Literal, maxFieldBytes, writeIndexed, writeLiteral, writeResize } from './representation.ts'
import { fieldKey, STATIC_LENGTH, staticField, staticName } from './static-table.ts'

/** Never put into a table, here or by those who hand them on (RFC 7541, section 7.1.3). */
const SECRETS: ReadonlySet<string> = new Set(['authorization', 'cookie', 'proxy-authorization'])
const MAX_RESIZES_BYTES = 12

/** One for each connection and direction. Blocks must be sent in the order in which they were encoded. */
export class HpackEncoder {
  /** Numbers of the newest entries of a field and of a name. */
  readonly #fields = new Map<string, number>()
  readonly #names = new Map<string, number>()
  readonly #table = new DynamicTable((name, value, number) => {
    forget(this.#fields, fieldKey(name, value), number)
    forget(this.#names, name, number)
  })
  readonly #maxTableBytes: number
  #capacity = DEFAULT_TABLE_BYTES
  /** The smallest capacity since the last block, where it changed: the peer must evict as much as we did. */
  #smallest: number | undefined

  /** `maxTableBytes`: the most that this side keeps, whatever the peer allows. */
  constructor(maxTableBytes: number = DEFAULT_TABLE_BYTES) {
    this.#maxTableBytes = maxTableBytes
    this.peerTableBytes(DEFAULT_TABLE_BYTES)
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  peerTableBytes(bytes: number): void {
    const capacity = Math.min(bytes, this.#maxTableBytes)
    if (capacity === this.#capacity) return
    this.#table.resize(capacity)
    this.#smallest = Math.min(capacity, this.#smallest ?? capacity)
    this.#capacity = capacity
  }

  /** The block of these fields, in their order. @throws HpackError where a character is no octet of a header. */
  encode(fields: readonly Field[]): Buffer {
    // Before all: a table that holds what was never sent is lost.
    for (const [name, value] of fields) {
      assertOctets(name)
      assertOctets(value)
    }
    const room = fields.reduce((sum, [name, value]) => sum + maxFieldBytes(name, value), MAX_RESIZES_BYTES)
    const target = Buffer.allocUnsafe(room)
    let at = this.#writeResizes(target)
    for (const field of fields) at = this.#write(target, at, field)
    return target.subarray(0, at)
  }

  #writeResizes(target: Buffer): number {
    if (this.#smallest === undefined) return 0
    let at = 0
    if (this.#smallest < this.#capacity) at = writeResize(target, at, this.#smallest)
    this.#smallest = undefined
    return writeResize(target, at, this.#capacity)
  }

  #write(target: Buffer, at: number, field: Field): number {
    const [name, value] = field
    const whole = staticField(name, value) || this.#index(this.#fields.get(fieldKey(name, value)))
    if (whole !== 0) return writeIndexed(target, at, whole)
    const nameIndex = staticName(name) || this.#index(this.#names.get(name))
    if (SECRETS.has(name)) return writeLiteral(target, at, Literal.NEVER_INDEXED, nameIndex, field)
    // What takes more than half of the table would push out what repeats.
    if (name.length + value.length + FIELD_OVERHEAD > this.#capacity / 2)
      return writeLiteral(target, at, Literal.NOT_INDEXED, nameIndex, field)
    const end = writeLiteral(target, at, Literal.INDEXED, nameIndex, field)
    this.#table.add(name, value)
    this.#fields.set(fieldKey(name, value), this.#table.added)
    this.#names.set(name, this.#table.added)
    return end
  }

  #index(number: number | undefined): number {
    return number === undefined ? 0 : STATIC_LENGTH + 1 + this.#table.added - number
  }
}

function forget(numbers: Map<string, number>, key: string, number: number): void {
  if (numbers.get(key) === number) numbers.delete(key)
}
