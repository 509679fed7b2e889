// Attribute values as case files write them in JSON.

import { parseIp } from '../../../src/kernel/ip-address.ts'
import { isJsonObject } from '../../../src/kernel/json-object.ts'
import { parseDuration, parseTimestamp } from '../../../src/kernel/time.ts'
import type { AttributeValue, ValueType } from '../../../src/kernel/value.ts'

/**
 * Reads a JSON value as an attribute value of the type; `GO_INT` is an integer that no attribute type covers.
 * @returns `undefined` where the JSON does not fit the type.
 */
export function valueFromJson(json: unknown, type: ValueType | 'GO_INT'): AttributeValue | undefined {
  switch (type) {
    case 'INT64':
    case 'GO_INT':
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
