// Decodes the header blocks of one direction of a connection (RFC 7541).

import { DynamicTable } from './dynamic-table.ts'
import { FIELD_OVERHEAD, HpackError, isMalformed } from './hpack-error.ts'
import { decodeHuffman } from './huffman-decode.ts'
import { decodeRepeated } from './literal-memo.ts'
import { STATIC_LENGTH, STATIC_NAMES, STATIC_VALUES } from './static-table.ts'

/** Takes the fields of a block in their order, duplicates included. */
export interface HeaderSink {
  /** One character an octet. `malformed`: the name or the value holds what none may hold in HTTP/2. */
  field(name: string, value: string, malformed: boolean): void
}

/** Bounds of what a peer's header blocks may make this side keep or build. */
export interface HpackLimits {
  /**
   * SETTINGS_HEADER_TABLE_SIZE as announced to the peer; 4096 where nothing is announced. Of a peer that has not yet read it the table
   * has 4096 octets.
   */
  readonly maxTableBytes: number
  /** SETTINGS_MAX_HEADER_LIST_SIZE: octets of all names and values of a block, and 32 for each field. */
  readonly maxListBytes: number
}

/** No length or index is near it; five octets of continuation are the most that it takes. */
const MAX_INTEGER = 0x0fff_ffff
const MAX_INTEGER_SHIFT = 28

/** One for each connection and direction; its table follows from every block, so it must see every block. */
export class HpackDecoder {
  readonly #table = new DynamicTable()
  readonly #limits: HpackLimits
  #block: Buffer = Buffer.alloc(0)
  #at = 0
  #end = 0
  #listBytes = 0

  constructor(limits: HpackLimits) {
    this.#limits = limits
  }

  /** Changes whenever the dynamic table changes; what a block decoded to holds for the same bytes under the same version. */
  get version(): number {
    return this.#table.version
  }

  /**
   * Decodes a whole block, and calls `sink` for each field. Once the fields are larger than the bound it calls it no more, but
   * keeps the dynamic table right, and returns 'too large'.
   * @throws HpackError where the block is malformed: the connection cannot go on.
   */
  decode(block: Uint8Array, start: number, end: number, sink: HeaderSink): 'ok' | 'too large' {
    this.#block = Buffer.isBuffer(block) ? block : Buffer.from(block.buffer, block.byteOffset, block.byteLength)
    this.#at = start
    this.#end = end
    this.#listBytes = 0
    this.#resizes()
    while (this.#at < end) this.#field(sink)
    return this.#listBytes > this.#limits.maxListBytes ? 'too large' : 'ok'
  }

  /** Size updates stand before all fields (section 4.2). */
  #resizes(): void {
    while (this.#at < this.#end && ((this.#block[this.#at] as number) & 0xe0) === 0x20) {
      const capacity = this.#integer(0x1f)
      if (capacity > this.#limits.maxTableBytes)
        throw new HpackError(`a table of ${capacity} octets is larger than announced`)
      this.#table.resize(capacity)
    }
  }

  #field(sink: HeaderSink): void {
    const first = this.#block[this.#at] as number
    if (first >= 0x80) {
      const index = this.#integer(0x7f)
      if (index === 0) throw new HpackError('a field has index 0')
      this.#indexed(index, sink)
    } else if (first >= 0x40) {
      const name = this.#literalName(0x3f)
      const value = this.#string('once')
      const malformed = isMalformed(name, value)
      this.#table.add(name, value, malformed)
      this.#emit(name, value, malformed, sink)
    } else if (first >= 0x20) {
      throw new HpackError('the size of the table changes within a block')
    } else {
      const name = this.#literalName(0x0f)
      const value = this.#string(first >= 0x10 ? 'once' : 'repeated')
      this.#emit(name, value, isMalformed(name, value), sink)
    }
  }

  #indexed(index: number, sink: HeaderSink): void {
    if (index <= STATIC_LENGTH)
      return this.#emit(STATIC_NAMES[index] as string, STATIC_VALUES[index] as string, false, sink)
    const dynamic = this.#dynamic(index)
    this.#emit(this.#table.name(dynamic), this.#table.value(dynamic), this.#table.malformed(dynamic), sink)
  }

  #emit(name: string, value: string, malformed: boolean, sink: HeaderSink): void {
    this.#listBytes += name.length + value.length + FIELD_OVERHEAD
    if (this.#listBytes <= this.#limits.maxListBytes) sink.field(name, value, malformed)
  }

  #literalName(prefix: number): string {
    const index = this.#integer(prefix)
    return index === 0 ? this.#string('once') : this.#name(index)
  }

  #name(index: number): string {
    if (index <= STATIC_LENGTH) return STATIC_NAMES[index] as string
    return this.#table.name(this.#dynamic(index))
  }

  #dynamic(index: number): number {
    const dynamic = index - STATIC_LENGTH - 1
    if (dynamic >= this.#table.count) throw new HpackError(`no field has index ${index}`)
    return dynamic
  }

  /** A length and that many octets (section 5.2). */
  #string(comes: 'once' | 'repeated'): string {
    if (this.#at >= this.#end) throw cutOff()
    const coded = (this.#block[this.#at] as number) >= 0x80
    const length = this.#integer(0x7f)
    const start = this.#at
    const end = start + length
    if (end > this.#end) throw cutOff()
    this.#at = end
    if (!coded) return this.#block.toString('latin1', start, end)
    return comes === 'repeated' ? decodeRepeated(this.#block, start, end) : decodeHuffman(this.#block, start, end)
  }

  /** An integer whose first octet has the bits of `prefix` for it (section 5.1). */
  #integer(prefix: number): number {
    let value = (this.#block[this.#at++] as number) & prefix
    if (value < prefix) return value
    for (let shift = 0; shift <= MAX_INTEGER_SHIFT; shift += 7) {
      if (this.#at >= this.#end) throw cutOff()
      const byte = this.#block[this.#at++] as number
      // Not a shift: the last octet would reach the sign.
      value += (byte & 0x7f) * 2 ** shift
      if (value > MAX_INTEGER) break
      if (byte < 0x80) return value
    }
    throw new HpackError('an integer is too large')
  }
}

function cutOff(): HpackError {
  return new HpackError('a header block is cut off')
}
