// Attribute values: the eleven types of Mixer's vocabulary and how each one is held in memory.

import type { Duration, Timestamp } from './time.ts'

/** The types an attribute, an expression or a template field can have (Mixer's `ValueType`). */
export const VALUE_TYPES = [
  'STRING',
  'INT64',
  'DOUBLE',
  'BOOL',
  'TIMESTAMP',
  'IP_ADDRESS',
  'EMAIL_ADDRESS',
  'URI',
  'DNS_NAME',
  'DURATION',
  'STRING_MAP',
] as const

export type ValueType = (typeof VALUE_TYPES)[number]

/** A read-only map of strings. A `Map` satisfies it; a lazily decoded wire map does too. */
export interface StringMap {
  readonly size: number
  get(key: string): string | undefined
  entries(): Iterable<[string, string]>
}

/**
 * One attribute value. The JavaScript type tells the attribute type apart: `bigint` is INT64, `number` is DOUBLE,
 * `Uint8Array` is IP_ADDRESS (4 or 16 bytes, network order) and a string is STRING, EMAIL_ADDRESS, URI or DNS_NAME.
 */
export type AttributeValue = string | bigint | number | boolean | Timestamp | Duration | Uint8Array | StringMap

/** Tells whether a value is one of the string-keyed maps. */
export function isStringMap(value: AttributeValue): value is StringMap {
  return typeof value === 'object' && !(value instanceof Uint8Array) && 'entries' in value
}
