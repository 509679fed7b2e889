// Canonical text of attribute values, for keys: injective over type and value, because a value is chosen by whoever
// sends the request and two values that shared a key would share a verdict.

import { Duration, Timestamp } from '../kernel/time.ts'
import { type AttributeValue, isStringMap, type StringMap } from '../kernel/value.ts'

/** Length-prefixed text, so that no content can look like the end of one part and the start of the next. */
export function canonicalText(text: string): string {
  return `${text.length}:${text}`
}

/** One value with its type tag. Equal texts mean equal values of the same type; map entries are sorted by key. */
export function canonicalValue(value: AttributeValue): string {
  switch (typeof value) {
    case 'string':
      return repeated.canonical(value)
    case 'bigint':
      return `i${value};`
    case 'boolean':
      return value ? 'T' : 'F'
    case 'number':
      return Object.is(value, -0) ? 'd-0;' : `d${value};`
    default:
      return canonicalObject(value)
  }
}

const canonicalString = (text: string) => `s${text.length}:${text}`

/** Of shorter texts V8 makes the key in one piece; longer ones are not worth the memory. */
const SHORTEST = 10
const LONGEST = 256
const PLACES = 1_024

/**
 * The canonical texts of texts that come again and again: whoever looks one up has its hash then, which takes longer to make than all
 * else. A text has one place; it is kept from the second time on that it is the last one there.
 */
class RepeatedTexts {
  readonly #marks = new Int32Array(PLACES)
  readonly #texts: string[] = Array.from({ length: PLACES }, () => '')
  readonly #canonical: string[] = Array.from({ length: PLACES }, () => '')

  canonical(text: string): string {
    const { length } = text
    if (length < SHORTEST || length > LONGEST) return canonicalString(text)
    const mark = markOf(text, length)
    const place = (mark ^ (mark >>> 10)) & (PLACES - 1)
    if (this.#texts[place] === text) return this.#canonical[place] ?? ''
    const canonical = canonicalString(text)
    if (this.#marks[place] === mark) this.#keep(place, text, canonical)
    else this.#marks[place] = mark
    return canonical
  }

  /** As a copy: a text that was cut out of a long one holds all of that. */
  #keep(place: number, text: string, canonical: string): void {
    const narrow = Buffer.from(text, 'latin1').toString('latin1')
    this.#texts[place] = narrow === text ? narrow : Buffer.from(text, 'utf16le').toString('utf16le')
    this.#canonical[place] = canonical
  }
}

/** Of a few characters, mostly those by which texts of one kind differ. */
function markOf(text: string, length: number): number {
  let mark = length
  for (let at = 1; at <= 6; at++) mark = Math.imul(mark, 31) + text.charCodeAt(length - at)
  return Math.imul(mark, 31) + text.charCodeAt(length >> 1)
}

const repeated = new RepeatedTexts()

function canonicalObject(value: Timestamp | Duration | Uint8Array | StringMap): string {
  if (value instanceof Uint8Array) return `b${value.length}:${Buffer.from(value).toString('hex')}`
  if (value instanceof Timestamp) return `t${value.epochNanos};`
  if (value instanceof Duration) return `u${value.nanos};`
  return isStringMap(value) ? canonicalMap(value) : ''
}

function canonicalMap(map: StringMap): string {
  const entries = [...map.entries()].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `m${entries.length}:${entries.map(([key, item]) => canonicalText(key) + canonicalText(item)).join('')}`
}
