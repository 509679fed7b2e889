// Text as it lies in a message, looked at without making a string of it.

import { isAscii, isUtf8 } from 'node:buffer'

/** Most texts are short, and then a loop beats a call out of JavaScript. */
const LOOPED = 64

/** Whether the bytes are UTF-8. */
export function isTextAt(bytes: Uint8Array, start: number, end: number): boolean {
  return isAsciiAt(bytes, start, end) || isUtf8(bytes.subarray(start, end))
}

function isAsciiAt(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > LOOPED) return isAscii(bytes.subarray(start, end))
  for (let at = start; at < end; at++) if ((bytes[at] ?? 0) > 0x7f) return false
  return true
}

/** Whether there are capitals of ASCII. */
export function hasCapitalsAt(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0
    if (byte >= 0x41 && byte <= 0x5a) return true
  }
  return false
}

/** Whether the bytes, which are UTF-8 or else stand for their decoding, are this text. */
export function isSameText(bytes: Buffer, start: number, end: number, text: string): boolean {
  const { length } = text
  if (end - start < length) return false
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    const byte = bytes[start + i] ?? 0
    if (unit > 0x7f || byte > 0x7f) return bytes.toString('utf8', start, end) === text
    if (unit !== byte) return false
  }
  return end - start === length
}

/** Whether what lies from `start` to `end`, a length and so many bytes, lies at another place too. */
export function isSameField(bytes: Uint8Array, start: number, end: number, other: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] !== bytes[other + at - start]) return false
  return true
}

/** Whether two whole varints are the same bytes. */
export function isSameVarint(bytes: Uint8Array, one: number, other: number): boolean {
  for (let at = 0; ; at++) {
    const byte = bytes[one + at] ?? 0
    if (byte !== bytes[other + at]) return false
    if (byte < 0x80) return true
  }
}
