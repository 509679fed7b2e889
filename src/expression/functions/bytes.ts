// Strings as the UTF-8 bytes that Go works on: order, length, case and what messages show.

import { Duration, Timestamp } from '../../kernel/time.ts'
import { type AttributeValue, isStringMap } from '../../kernel/value.ts'

/** Orders two strings as their UTF-8 bytes are ordered. @returns a negative number, 0 or a positive number. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const left = a.charCodeAt(i)
    const right = b.charCodeAt(i)
    if (left !== right) return byteOrder(left) - byteOrder(right)
  }
  return a.length - b.length
}

/** UTF-16 sorts surrogates (characters above U+FFFF) below U+E000 to U+FFFF, UTF-8 sorts them above. */
function byteOrder(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

/** The number of UTF-8 bytes. */
export function byteLength(text: string): bigint {
  return BigInt(Buffer.byteLength(text))
}

/** Lower case character by character, as Go maps it: the length in characters stays the same. */
export function toLower(text: string): string {
  if (/^\p{ASCII}*$/u.test(text)) return text.toLowerCase()
  let lower = ''
  for (const char of text) lower += String.fromCodePoint(char.toLowerCase().codePointAt(0) ?? 0)
  return lower
}

/** The text reversed by code point. */
export function reverse(text: string): string {
  return Array.from(text).toReversed().join('')
}

/** A value as Go's `%v` shows it. */
export function goText(value: AttributeValue): string {
  if (value instanceof Uint8Array) return `[${value.join(' ')}]`
  if (
    typeof value === 'object' &&
    !(value instanceof Duration) &&
    !(value instanceof Timestamp) &&
    isStringMap(value)
  ) {
    return `map[${[...value.entries()].map(([key, entry]) => `${key}:${entry}`).join(' ')}]`
  }
  return String(value)
}
