// Writes protobuf's wire format, field by field, into one buffer that is used again and again.

const FIRST_SIZE = 4_096
/** Each stream has writers for what it may never send. */
const NOTHING = Buffer.alloc(0)
/** A larger buffer is not kept: one large message must not cost memory for ever. */
const KEPT_SIZE = 256 * 1_024
/** Longer text is left to the engine, which is slower to call and faster to write. */
const LOOPED = 32

/**
 * Fields with their type's default (0, empty) are left out where the method says so. Nested messages lie between `open` and
 * `close`. `take` hands the message out and begins the next one.
 */
export class WireWriter {
  #bytes = NOTHING
  #at = 0

  /** The message so far, as bytes of its own. */
  take(): Buffer {
    const message = Buffer.allocUnsafe(this.#at)
    this.#bytes.copy(message, 0, 0, this.#at)
    this.#at = 0
    if (this.#bytes.length > KEPT_SIZE) this.#bytes = NOTHING
    return message
  }

  /** Throws away what was written since `take`. */
  reset(): void {
    this.#at = 0
  }

  /** Takes back all that was written since the message had this size. */
  backTo(size: number): void {
    this.#at = size
  }

  get size(): number {
    return this.#at
  }

  /** A whole number from 0 up to 2^53; left out where it is 0, unless its field tells absence apart. */
  uint(field: number, value: number, isOptional = false): void {
    if (value === 0 && !isOptional) return
    this.#room(15)
    this.#varint(field * 8)
    this.#varint(value)
  }

  /** An int32 or an enum, as ten bytes where it is negative; left out where it is 0. */
  int32(field: number, value: number): void {
    this.int64(field, value)
  }

  /** A safe integer, or one of 64 bits; written as `int32` is. */
  int64(field: number, value: number | bigint): void {
    if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) return this.uint(field, Number(value))
    this.#room(15)
    this.#varint(field * 8)
    this.#varint64(BigInt.asUintN(64, BigInt(value)))
  }

  /** A 32-bit integer in zigzag; left out where it is 0, unless its field tells absence apart. */
  sint32(field: number, value: number, isOptional = false): void {
    if (value !== 0) return this.uint(field, ((value << 1) ^ (value >> 31)) >>> 0)
    if (!isOptional) return
    this.#room(6)
    this.#varint(field * 8)
    this.#bytes[this.#at++] = 0
  }

  /** One value of a packed field, which is opened and closed as a message is. */
  packedSint32(value: number): void {
    this.#room(5)
    this.#varint(((value << 1) ^ (value >> 31)) >>> 0)
  }

  /** One value of a packed field of uint32 or bool. */
  packedUint(value: number): void {
    this.#room(5)
    this.#varint(value)
  }

  /** One value of a packed field of sint64. */
  packedSint64(value: bigint): void {
    this.#room(10)
    if (value >= -0x4000_0000n && value < 0x4000_0000n) return this.packedSint32(Number(value))
    this.#varint64(BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)))
  }

  /** Left out where it is false, unless its field tells absence apart. */
  bool(field: number, value: boolean, isOptional = false): void {
    if (value) this.uint(field, 1)
    else this.sint32(field, 0, isOptional)
  }

  /** Written whatever it is. */
  double(field: number, value: number): void {
    this.#room(13)
    this.#varint(field * 8 + 1)
    this.#at = this.#bytes.writeDoubleLE(value, this.#at)
  }

  /** Left out where it is empty, unless it is one of several. */
  text(field: number, value: string, isRepeated = false): void {
    const { length } = value
    if (length === 0 && !isRepeated) return
    this.#room(10 + length * 3)
    this.#varint(field * 8 + 2)
    if (length <= LOOPED && this.#ascii(value)) return
    const size = Buffer.byteLength(value)
    this.#varint(size)
    this.#at += this.#bytes.write(value, this.#at, size, 'utf8')
  }

  /** Left out where it is empty, unless it is one of several. */
  bytes(field: number, value: Uint8Array, isRepeated = false): void {
    if (value.length === 0 && !isRepeated) return
    this.#room(10 + value.length)
    this.#varint(field * 8 + 2)
    this.#varint(value.length)
    this.#copy(value)
  }

  /** Fields that are encoded already. */
  encoded(fields: Uint8Array): void {
    this.#room(fields.length)
    this.#copy(fields)
  }

  /** Begins a nested message, which is written even if it stays empty. @returns what `close` needs */
  open(field: number): number {
    this.#room(10)
    this.#varint(field * 8 + 2)
    return this.#at++
  }

  /** Ends the nested message: its length takes one byte mostly; what is written moves where it takes more. */
  close(opened: number): void {
    const start = opened + 1
    const size = this.#at - start
    if (size < 0x80) {
      this.#bytes[opened] = size
      return
    }
    const more = size < 0x4000 ? 1 : size < 0x20_0000 ? 2 : size < 0x1000_0000 ? 3 : 4
    this.#room(more)
    this.#bytes.copyWithin(start + more, start, this.#at)
    const end = this.#at + more
    this.#at = opened
    this.#varint(size)
    this.#at = end
  }

  #ascii(value: string): boolean {
    const bytes = this.#bytes
    let at = this.#at
    bytes[at++] = value.length
    for (let i = 0; i < value.length; i++) {
      const unit = value.charCodeAt(i)
      if (unit > 0x7f) return false
      bytes[at++] = unit
    }
    this.#at = at
    return true
  }

  #copy(value: Uint8Array): void {
    if (value.length <= LOOPED) for (let i = 0; i < value.length; i++) this.#bytes[this.#at + i] = value[i] ?? 0
    else this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  #varint(value: number): void {
    const bytes = this.#bytes
    let rest = value
    while (rest >= 0x8000_0000) {
      bytes[this.#at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    while (rest >= 0x80) {
      bytes[this.#at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    bytes[this.#at++] = rest
  }

  #varint64(value: bigint): void {
    let rest = value
    for (; rest >= 0x80n; rest >>= 7n) this.#bytes[this.#at++] = Number(rest & 0x7fn) | 0x80
    this.#bytes[this.#at++] = Number(rest)
  }

  #room(count: number): void {
    const needed = this.#at + count
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(FIRST_SIZE, needed, this.#bytes.length * 2))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}
