// Attribute values as text and as JSON, for adapters that hand them to backends.

import { formatIp } from '../kernel/ip-address.ts'
import { Duration, Timestamp } from '../kernel/time.ts'
import { type AttributeValue, isStringMap } from '../kernel/value.ts'
import type { FieldValue } from './instance.ts'

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/** A value as text: addresses and times in their usual notation, a map as JSON with sorted keys. */
export function valueToText(value: AttributeValue): string {
  if (typeof value === 'string') return value
  if (value instanceof Uint8Array) return formatIp(value)
  if (typeof value === 'object' && isStringMap(value)) {
    return JSON.stringify([...value.entries()].sort(([a], [b]) => (a < b ? -1 : 1)))
  }
  return String(value)
}

/**
 * A field as JSON. Integers beyond 2^53 become strings (they would lose digits), doubles that JSON cannot hold (NaN,
 * infinities) too; addresses, timestamps (RFC 3339) and durations (Go's notation) become text.
 */
export function fieldToJson(value: FieldValue): Json {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value !== 'object') return value
  if (value instanceof Uint8Array) return formatIp(value)
  if (value instanceof Timestamp || value instanceof Duration) return value.toString()
  if (isMap(value)) return Object.fromEntries(value.entries())
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, fieldToJson(field)]))
}

// A record of values may have a key `entries`; only a string map has a method of that name.
function isMap(value: object): value is { entries(): Iterable<[string, string]> } {
  return 'entries' in value && typeof value.entries === 'function'
}
