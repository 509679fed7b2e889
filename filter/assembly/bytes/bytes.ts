// Runs of bytes: texts are UTF-8 here, as the host has them, and are never made strings of on the way of a request.

/** Bytes that last. */
export type Bytes = Uint8Array

export const EMPTY: Bytes = new Uint8Array(0)

export function at(bytes: Bytes): usize {
  return bytes.dataStart
}

/** Bytes that last, of some that do not. */
export function copyOf(from: usize, size: i32): Bytes {
  if (size === 0) return EMPTY
  const bytes = new Uint8Array(size)
  memory.copy(bytes.dataStart, from, size)
  return bytes
}

/** The UTF-8 of a text. */
export function bytesOf(text: string): Bytes {
  return Uint8Array.wrap(String.UTF8.encode(text))
}

/** The text of UTF-8, for logs and the like. */
export function textOf(bytes: Bytes): string {
  return String.UTF8.decodeUnsafe(bytes.dataStart, bytes.length)
}

export function isSame(one: usize, oneSize: i32, other: usize, otherSize: i32): bool {
  if (oneSize !== otherSize) return false
  let i = 0
  for (; i + 8 <= oneSize; i += 8) if (load<u64>(one + <usize>i) !== load<u64>(other + <usize>i)) return false
  for (; i < oneSize; i++) if (load<u8>(one + <usize>i) !== load<u8>(other + <usize>i)) return false
  return true
}

export function isEqual(bytes: Bytes, other: usize, otherSize: i32): bool {
  return isSame(bytes.dataStart, bytes.length, other, otherSize)
}

export function isBytes(one: Bytes, other: Bytes): bool {
  return isSame(one.dataStart, one.length, other.dataStart, other.length)
}

/** How texts stand to each other in the order of their bytes. */
export function compare(one: usize, oneSize: i32, other: usize, otherSize: i32): i32 {
  const order = memory.compare(one, other, min(oneSize, otherSize))
  return order !== 0 ? order : oneSize - otherSize
}

export function startsWith(text: usize, size: i32, prefix: Bytes): bool {
  return size >= prefix.length && memory.compare(text, prefix.dataStart, prefix.length) === 0
}

export function endsWith(text: usize, size: i32, suffix: Bytes): bool {
  const length = suffix.length
  return size >= length && memory.compare(text + <usize>(size - length), suffix.dataStart, length) === 0
}

/** The place of a byte in a text; -1 where it is not there. */
export function indexOfByte(text: usize, size: i32, byte: u8): i32 {
  for (let i = 0; i < size; i++) if (load<u8>(text + <usize>i) === byte) return i
  return -1
}

export function contains(text: usize, size: i32, part: Bytes): bool {
  const length = part.length
  for (let i = 0; i + length <= size; i++) {
    if (memory.compare(text + <usize>i, part.dataStart, length) === 0) return true
  }
  return false
}

/** A number in decimal digits; -1 for what is none, or more than 64 bits with a sign hold. */
export function decimalOf(text: usize, size: i32): i64 {
  if (size === 0) return -1
  let value: u64 = 0
  for (let i = 0; i < size; i++) {
    const digit = <i32>load<u8>(text + <usize>i) - 0x30
    if (digit < 0 || digit > 9 || value > MAX_TENTH) return -1
    value = value * 10 + <u64>digit
  }
  return value > <u64>i64.MAX_VALUE ? -1 : <i64>value
}

const MAX_TENTH: u64 = <u64>i64.MAX_VALUE / 10
