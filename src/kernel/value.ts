// Attribute values: the eleven types of Mixer's vocabulary and how each one is held in memory.

import { Duration, Timestamp } from './time.ts'

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

/** What of an entry hangs on who reads the text that a map came in: its value, or even whether there is such an entry. */
export type Ambiguity = 'value' | 'presence'

/** A read-only map of strings. A `Map` satisfies it; a lazily decoded wire map does too. */
export interface StringMap {
  readonly size: number
  get(key: string): string | undefined
  entries(): Iterable<[string, string]>
  /**
   * What of the entry is ambiguous; without a key, the worst that is so of any entry. `get` and `entries` give one of the
   * readings then, on which nothing may hang. A map without this method has one reading.
   */
  ambiguity?(key?: string): Ambiguity | undefined
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

/** Whether a value is one of a type. */
export function isOfType(value: AttributeValue, type: ValueType): boolean {
  switch (type) {
    case 'INT64':
      return typeof value === 'bigint'
    case 'DOUBLE':
      return typeof value === 'number'
    case 'BOOL':
      return typeof value === 'boolean'
    case 'IP_ADDRESS':
      return value instanceof Uint8Array && (value.length === 4 || value.length === 16)
    case 'TIMESTAMP':
      return value instanceof Timestamp
    case 'DURATION':
      return value instanceof Duration
    case 'STRING_MAP':
      return typeof value === 'object' && isStringMap(value)
    case 'STRING':
    case 'URI':
    case 'DNS_NAME':
    case 'EMAIL_ADDRESS':
      return typeof value === 'string'
  }
}

/** Whether an entry of a map, or any entry where no key is named, has another value for other readers of the same text. */
export function isAmbiguous(value: AttributeValue | undefined, key: string | undefined): boolean {
  return typeof value === 'object' && isStringMap(value) && value.ambiguity?.(key) !== undefined
}
