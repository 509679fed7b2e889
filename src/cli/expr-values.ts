// Attribute values in JSON, as `expr` takes and prints them.

import { formatIp, parseIp } from '../kernel/ip-address.ts'
import { isJsonObject } from '../kernel/json-object.ts'
import { Duration, parseDuration, parseTimestamp, Timestamp } from '../kernel/time.ts'
import { type AttributeValue, isStringMap, type ValueType, VALUE_TYPES } from '../kernel/value.ts'

/** Whether the text names one of the attribute types. */
export function isValueType(text: unknown): text is ValueType {
  return VALUE_TYPES.some((type) => type === text)
}

/** Reads a JSON value as an attribute value of the type. @returns `undefined` where the JSON does not fit the type. */
export function valueFromJson(json: unknown, type: ValueType): AttributeValue | undefined {
  switch (type) {
    case 'INT64':
      return integerFromJson(json)
    case 'DOUBLE':
      return typeof json === 'number' ? json : undefined
    case 'BOOL':
      return typeof json === 'boolean' ? json : undefined
    case 'STRING_MAP':
      return mapFromJson(json)
    default:
      return typeof json === 'string' ? valueFromText(json, type) : undefined
  }
}

function valueFromText(text: string, type: ValueType): AttributeValue | undefined {
  if (type === 'TIMESTAMP') return parseTimestamp(text)
  if (type === 'DURATION') return parseDuration(text)
  if (type === 'IP_ADDRESS') return text === '' ? new Uint8Array() : parseIp(text)
  return text
}

function integerFromJson(json: unknown): bigint | undefined {
  if (typeof json === 'number' && Number.isInteger(json)) return BigInt(json)
  return typeof json === 'string' && /^-?\d+$/.test(json) ? BigInt(json) : undefined
}

function mapFromJson(json: unknown): ReadonlyMap<string, string> | undefined {
  if (!isJsonObject(json)) return undefined
  const entries = Object.entries(json)
  return entries.every((entry): entry is [string, string] => typeof entry[1] === 'string')
    ? new Map(entries)
    : undefined
}

/** A value as JSON shows it: integers as digits, addresses, times and durations as text, maps as objects. */
export function valueToJson(value: AttributeValue): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (value instanceof Uint8Array) return value.length === 0 ? '' : formatIp(value)
  if (value instanceof Duration || value instanceof Timestamp) return value.toString()
  if (typeof value === 'object' && isStringMap(value)) return Object.fromEntries(value.entries())
  return value
}
