// Reads protobuf's wire format in place: no objects, no strings, nested messages by narrowing `end`.

import { IntermixError } from '../kernel/errors.ts'
import { isTextAt } from './text-bytes.ts'

/** Wire types as the low three bits of a tag state them. */
export const VARINT = 0
export const FIXED64 = 1
export const BYTES = 2
const FIXED32 = 5
/**
 * Parts that a message field which is kept as bytes may come in. Encoders write one, whoever joins two messages writes two, and
 * each costs more than its bytes.
 */
const MAX_PARTS = 100
/** Tags of varints in the fields 1 and 2. */
const FIRST = 8
const SECOND = 16

/**
 * A cursor over a protobuf message. Every read checks its bounds and throws `INVALID_REQUEST` with the byte's position
 * where the message is malformed. Groups, which no message of ours has, count as malformed.
 */
export class WireReader {
  readonly bytes: Buffer
  /** Position of the next byte to read. */
  pos: number
  /** What `pair` has read. */
  first = 0
  second = 0
  /** Where the current message ends; a reader of a nested message narrows it and puts it back. */
  end: number

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.pos = start
    this.end = end
  }

  /** The next tag (field number × 8 + wire type), or 0 at the end of the message. */
  tag(): number {
    if (this.pos >= this.end) return 0
    const first = this.bytes[this.pos] ?? 0
    let tag = first
    if (first < 0x80) this.pos++
    else {
      const from = this.pos
      tag = this.varint32() >>> 0
      const size = this.pos - from
      if (size > 5 || (size === 5 && (this.bytes[this.pos - 1] ?? 0) > 0x0f))
        throw this.malformed('a tag of more than 32 bits')
    }
    if (tag < 8) throw this.malformed('field number 0')
    return tag
  }

  /** The low 32 bits of a varint, signed. */
  varint32(): number {
    const first = this.bytes[this.pos]
    if (first !== undefined && first < 0x80 && this.pos < this.end) {
      this.pos++
      return first
    }
    let result = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte()
      if (shift < 32) result |= (byte & 0x7f) << shift
      if (byte < 0x80) return result
    }
    throw this.malformed('a varint of more than 10 bytes')
  }

  /** A zigzag-encoded 32-bit integer. */
  sint32(): number {
    const raw = this.varint32()
    return (raw >>> 1) ^ -(raw & 1)
  }

  /** All zigzag integers up to the end, into `numbers` from its beginning. @returns how many */
  sint32s(numbers: number[]): number {
    const { bytes, end } = this
    let at = this.pos
    let count = 0
    while (at < end) {
      let raw = bytes[at++] ?? 0
      if (raw >= 0x80) {
        const second = bytes[at] ?? 0
        if (second < 0x80 && at < end) {
          raw = (raw & 0x7f) | (second << 7)
          at++
        } else {
          this.pos = at - 1
          raw = this.varint32()
          at = this.pos
        }
      }
      numbers[count++] = (raw >>> 1) ^ -(raw & 1)
    }
    this.pos = end
    return count
  }

  /** A varint as a signed 64-bit integer. */
  int64(): bigint {
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte()
      low |= (byte & 0x7f) << shift
      if (byte < 0x80) return BigInt(low)
    }
    let result = BigInt(low)
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      result |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, result)
    }
    throw this.malformed('a varint of more than 10 bytes')
  }

  /** A zigzag-encoded 64-bit integer. */
  sint64(): bigint {
    const raw = BigInt.asUintN(64, this.int64())
    return (raw >> 1n) ^ -(raw & 1n)
  }

  /** A little-endian 64-bit floating point number. */
  double(): number {
    const at = this.pos
    this.advance(8)
    return this.bytes.readDoubleLE(at)
  }

  /**
   * Reads a message that holds two small zigzag integers, its fields 1 and 2, and nothing else, as encoders write the
   * entries of most maps of ours; a length comes first. Each takes two bytes at most.
   * @returns whether it was one: `first` and `second` have the integers then. Otherwise nothing was read.
   */
  pair(): boolean {
    const { bytes } = this
    const end = this.pos + 1 + (bytes[this.pos] ?? 0)
    let at = this.pos + 1
    if (bytes[at++] !== FIRST) return false
    let first = bytes[at++] ?? 0
    if (first >= 0x80) {
      const more = bytes[at++] ?? 0
      if (more >= 0x80) return false
      first = (first & 0x7f) | (more << 7)
    }
    if (bytes[at++] !== SECOND) return false
    let second = bytes[at++] ?? 0
    if (second >= 0x80) {
      const more = bytes[at++] ?? 0
      if (more >= 0x80) return false
      second = (second & 0x7f) | (more << 7)
    }
    if (at !== end || end > this.end) return false
    this.first = (first >>> 1) ^ -(first & 1)
    this.second = (second >>> 1) ^ -(second & 1)
    this.pos = end
    return true
  }

  /** Reads a length, leaves the cursor at the content's first byte and gives the content's end. */
  enter(): number {
    const length = this.varint32() >>> 0
    const end = this.pos + length
    if (end > this.end) throw this.malformed(`a field of ${length} bytes where ${this.end - this.pos} are left`)
    return end
  }

  /**
   * Narrows the reader to the message whose length comes next; `close` with what this gives ends that. All fields of it
   * have to be read or skipped in between.
   */
  open(): number {
    const outer = this.end
    this.end = this.enter()
    return outer
  }

  /** As `open`, for the field whose tag was just read; throws where it is no message. */
  openField(tag: number): number {
    this.expect(tag, BYTES)
    return this.open()
  }

  close(outer: number): void {
    this.end = outer
  }

  /** Passes over a string and gives the place from which `textAt` reads it. Throws where it is not UTF-8. */
  text(tag: number): number {
    this.expect(tag, BYTES)
    const at = this.pos
    const end = this.enter()
    if (!isTextAt(this.bytes, this.pos, end)) throw this.malformed(`text in field ${tag >>> 3} that is not UTF-8`)
    this.pos = end
    return at
  }

  /** The string at a place that `text` gave; 0, where no string can be, stands for none. Moves the cursor. */
  textAt(at: number): string {
    if (at === 0) return ''
    this.pos = at
    const end = this.enter()
    return this.bytes.toString('utf8', this.pos, end)
  }

  /** Reads a string of which a client may have chosen the bytes: what is not UTF-8 becomes U+FFFD. */
  clientText(tag: number): string {
    this.expect(tag, BYTES)
    const end = this.enter()
    const text = this.bytes.toString('utf8', this.pos, end)
    this.pos = end
    return text
  }

  /** A view of the bytes at a place from which a length can be read. Moves the cursor. */
  bytesAt(at: number): Uint8Array {
    this.pos = at
    const end = this.enter()
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + this.pos, end - this.pos)
  }

  /** Refuses a field that comes in more parts than any sender has reason to. */
  boundParts(parts: number): void {
    if (parts > MAX_PARTS) throw this.malformed(`one message in more than ${MAX_PARTS} parts`)
  }

  /** Passes over `count` bytes. */
  advance(count: number): void {
    if (this.pos + count > this.end) throw this.malformed('the message ends within a field')
    this.pos += count
  }

  /** Passes over the field whose tag was just read. */
  skip(tag: number): void {
    switch (tag & 7) {
      case VARINT:
        this.varint32()
        return
      case FIXED64:
        this.advance(8)
        return
      case BYTES:
        this.pos = this.enter()
        return
      case FIXED32:
        this.advance(4)
        return
      default:
        throw this.malformed(`wire type ${tag & 7}`)
    }
  }

  /** Refuses a known field that comes with another wire type than its own. */
  expect(tag: number, wireType: number): void {
    if ((tag & 7) !== wireType) {
      throw this.malformed(`wire type ${tag & 7} for field ${tag >>> 3}, which has wire type ${wireType}`)
    }
  }

  malformed(what: string): IntermixError {
    return new IntermixError('INVALID_REQUEST', `malformed protobuf message at byte ${this.pos}: ${what}`)
  }

  #byte(): number {
    if (this.pos >= this.end) throw this.malformed('the message ends within a varint')
    return this.bytes[this.pos++] ?? 0
  }
}
