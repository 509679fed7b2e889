// Writes protobuf into memory of its own, which grows and is used again. It is collected with its writer.

const FIRST: i32 = 16 * 1024
const MAX_VARINT: i32 = 10

export class Writer {
  private memory: StaticArray<u8>
  private start: usize
  private used: i32 = 0

  constructor(private room: i32 = FIRST) {
    const first = new StaticArray<u8>(room)
    this.memory = first
    this.start = changetype<usize>(first)
  }

  get size(): i32 {
    return this.used
  }

  /** Where it begins: until the next write. */
  get from(): usize {
    return this.start
  }

  reset(): void {
    this.used = 0
  }

  /** Gives its memory back: it writes no more. */
  free(): void {
    this.memory = new StaticArray<u8>(0)
    this.start = changetype<usize>(this.memory)
    this.room = 0
    this.used = 0
  }

  /** Takes back what was written behind a size that it had. */
  truncate(size: i32): void {
    this.used = size
  }

  private reserve(more: i32): void {
    if (this.room - this.used >= more) return
    let room = max(64, this.room * 2)
    while (room - this.used < more) room *= 2
    const larger = new StaticArray<u8>(room)
    memory.copy(changetype<usize>(larger), this.start, this.used)
    this.memory = larger
    this.start = changetype<usize>(larger)
    this.room = room
  }

  /** Room for some bytes, where they are to be written; `wrote` says up to where that was done. */
  @inline
  take(size: i32): usize {
    if (this.room - this.used < size) this.reserve(size)
    return this.start + <usize>this.used
  }

  @inline
  wrote(end: usize): void {
    this.used = <i32>(end - this.start)
  }

  raw(from: usize, size: i32): void {
    this.reserve(size)
    memory.copy(this.start + <usize>this.used, from, size)
    this.used += size
  }

  varint(value: u64): void {
    this.wrote(putVarint(this.take(MAX_VARINT), value))
  }

  sint(value: i32): void {
    this.varint(<u64>(<u32>((value << 1) ^ (value >> 31))))
  }

  /** A field of a number; none where it is 0. */
  uintField(field: u32, value: u64): void {
    if (value !== 0) this.uintAlways(field, value)
  }

  uintAlways(field: u32, value: u64): void {
    this.varint(field << 3)
    this.varint(value)
  }

  /** A field of a number, negative ones in ten bytes. */
  intAlways(field: u32, value: i64): void {
    this.varint(field << 3)
    this.varint(<u64>value)
  }

  sintField(field: u32, value: i32): void {
    this.varint(field << 3)
    this.sint(value)
  }

  /** A field of bytes; none where there are none. */
  bytesField(field: u32, from: usize, size: i32): void {
    if (size !== 0) this.bytesAlways(field, from, size)
  }

  bytesAlways(field: u32, from: usize, size: i32): void {
    this.varint((field << 3) | 2)
    this.varint(size)
    this.raw(from, size)
  }

  /** Begins a message. @returns what `close` needs */
  open(field: u32): i32 {
    this.varint((field << 3) | 2)
    this.reserve(1)
    this.used++
    return this.used
  }

  /** Ends a message: its length takes as many bytes as it needs. */
  close(opened: i32): void {
    const size = this.used - opened
    let more = 0
    for (let left = size >> 7; left > 0; left >>= 7) more++
    this.reserve(more)
    const from = this.start + <usize>opened
    if (more > 0) memory.copy(from + <usize>more, from, size)
    let at = from - 1
    let left = size
    while (left >= 0x80) {
      store<u8>(at++, <u8>(left | 0x80))
      left >>= 7
    }
    store<u8>(at, <u8>left)
    this.used += more
  }
}

/** Writes a varint, of ten bytes at most. @returns where it ends */
export function putVarint(at: usize, value: u64): usize {
  while (value >= 0x80) {
    store<u8>(at++, <u8>(value | 0x80))
    value >>= 7
  }
  store<u8>(at++, <u8>value)
  return at
}

/** A signed number, in zigzag. */
export function putSint(at: usize, value: i32): usize {
  return putVarint(at, <u64>(<u32>((value << 1) ^ (value >> 31))))
}
