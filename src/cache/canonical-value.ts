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
      return `s${value.length}:${value}`
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
