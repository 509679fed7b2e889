// Writes the representations of fields (RFC 7541, sections 5 and 6), which all encoders put together.

import { HpackError } from './hpack-error.ts'

const INDEXED = 0x80
const INDEXED_PREFIX = 0x7f
const LENGTH_PREFIX = 0x7f
const RESIZE = 0x20
const RESIZE_PREFIX = 0x1f

/** How the other side treats a literal: the first bits of it. */
export const Literal = { INDEXED: 0x40, NOT_INDEXED: 0x00, NEVER_INDEXED: 0x10 } as const
export type Literal = (typeof Literal)[keyof typeof Literal]

const MAX_INTEGER_BYTES = 6

/** The most octets that any representation of a field takes. */
export function maxFieldBytes(name: string, value: string): number {
  return 3 * MAX_INTEGER_BYTES + name.length + value.length
}

/** Writes a field that a table has, and returns where it ends. */
export function writeIndexed(target: Uint8Array, start: number, index: number): number {
  return writeInteger(target, start, INDEXED, INDEXED_PREFIX, index)
}

/** Writes a change of the table's size, and returns where it ends. */
export function writeResize(target: Uint8Array, start: number, capacity: number): number {
  return writeInteger(target, start, RESIZE, RESIZE_PREFIX, capacity)
}

/**
 * Makes sure that a text can be written: a character that is no octet of a header could become a line's end when it is cut
 * to eight bits.
 * @throws HpackError where it cannot.
 */
export function assertOctets(text: string): void {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if ((code < 0x20 && code !== 0x09) || code === 0x7f || code > 0xff)
      throw new HpackError(`a header holds the character U+${code.toString(16).padStart(4, '0')}`)
  }
}

/**
 * Writes a field whose name has an index, or 0, and returns where it ends. Strings are not Huffman-coded: octets are cheaper
 * than time. `assertOctets` comes before.
 */
export function writeLiteral(
  target: Uint8Array,
  start: number,
  literal: Literal,
  nameIndex: number,
  [name, value]: readonly [string, string],
): number {
  let at = writeInteger(target, start, literal, literal === Literal.INDEXED ? 0x3f : 0x0f, nameIndex)
  if (nameIndex === 0) at = writeString(target, at, name)
  return writeString(target, at, value)
}

function writeString(target: Uint8Array, start: number, text: string): number {
  let at = writeInteger(target, start, 0, LENGTH_PREFIX, text.length)
  for (let i = 0; i < text.length; i++) target[at++] = text.charCodeAt(i)
  return at
}

/** The first octet begins with the bits of `pattern`; `prefix` masks those that are the integer's (section 5.1). */
function writeInteger(target: Uint8Array, start: number, pattern: number, prefix: number, value: number): number {
  let at = start
  if (value < prefix) {
    target[at++] = pattern | value
    return at
  }
  target[at++] = pattern | prefix
  let rest = value - prefix
  for (; rest >= 0x80; rest >>>= 7) target[at++] = (rest & 0x7f) | 0x80
  target[at++] = rest
  return at
}
