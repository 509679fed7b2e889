// Walks protobuf's wire format without decoding: for counting entries and keeping fields as raw bytes.

import { IntermixError } from '../kernel/errors.ts'

/** One field as it lies in the message: `start` to `end` covers the tag, `from` to `end` the content. */
export interface WireField {
  readonly number: number
  readonly wireType: number
  readonly start: number
  readonly from: number
  readonly end: number
}

const VARINT = 0
const FIXED64 = 1
const DELIMITED = 2
const FIXED32 = 5

/**
 * The top-level fields of a message between two offsets, in their order.
 * @throws IntermixError INVALID_REQUEST where the bytes are cut off or are not a message (groups included).
 */
export function* scanFields(bytes: Uint8Array, start = 0, end = bytes.length): Generator<WireField> {
  let at = start
  while (at < end) {
    const tag = readVarint(bytes, at, end)
    const number = Math.floor(tag.value / 8)
    const wireType = tag.value % 8
    if (number === 0) throw malformed(at)
    let from = tag.next
    let next: number
    if (wireType === VARINT) next = readVarint(bytes, from, end).next
    else if (wireType === FIXED64) next = from + 8
    else if (wireType === FIXED32) next = from + 4
    else if (wireType === DELIMITED) {
      const length = readVarint(bytes, from, end)
      from = length.next
      next = from + length.value
    } else throw malformed(at)
    if (next > end) throw malformed(at)
    yield { number, wireType, start: at, from, end: next }
    at = next
  }
}

/** Whether a field holds a string, bytes or a message. */
export function isDelimited(field: WireField): boolean {
  return field.wireType === DELIMITED
}

/** Beyond 2^53 the value is inexact, which is enough for tags and lengths: both are refused long before. */
function readVarint(bytes: Uint8Array, start: number, end: number): { value: number; next: number } {
  let value = 0
  let scale = 1
  for (let at = start; at < end && at < start + 10; at++) {
    const byte = bytes[at] ?? 0
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return { value, next: at + 1 }
    scale *= 128
  }
  throw malformed(start)
}

function malformed(offset: number): IntermixError {
  return new IntermixError('INVALID_REQUEST', `malformed protobuf message at byte ${offset}`)
}
