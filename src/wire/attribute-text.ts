// Attribute values written as text: in JSON strings, and where operators set attributes in a proxy's config.

import { parseIp } from '../kernel/ip-address.ts'
import { parseDuration, parseTimestamp } from '../kernel/time.ts'
import type { AttributeValue, ValueType } from '../kernel/value.ts'
import { parseJsonObject } from '../kernel/parse-json.ts'

/** What a text of each type looks like, to finish the sentence "must be …". */
export const TEXT_FORMS: Readonly<Record<ValueType, string>> = {
  STRING: 'a string',
  INT64: 'a whole number of 64 bits, such as 42 or "42"',
  DOUBLE: 'a number, such as 1.5',
  BOOL: 'true or false',
  TIMESTAMP: 'a time as in RFC 3339, such as "2026-01-15T12:00:00Z"',
  IP_ADDRESS: 'an IPv4 or IPv6 address, such as "10.0.0.1"',
  EMAIL_ADDRESS: 'a string with an e-mail address',
  URI: 'a string with a URI',
  DNS_NAME: 'a string with a DNS name',
  DURATION: 'a duration, such as "5ms" or "1m30s"',
  STRING_MAP: 'an object of strings, such as {"version": "v1"}',
}

/** Reads the text of a value of a type; a map is a JSON object. @returns `undefined` where the text is not one. */
export function readAttributeText(type: ValueType, text: string): AttributeValue | undefined {
  switch (type) {
    case 'INT64':
      return readInteger(text)
    case 'DOUBLE':
      return readDouble(text)
    case 'BOOL':
      return text === 'true' ? true : text === 'false' ? false : undefined
    case 'TIMESTAMP':
      return parseTimestamp(text)
    case 'DURATION':
      return parseDuration(text)
    case 'IP_ADDRESS':
      return parseIp(text)
    case 'STRING_MAP':
      return readMap(text)
    default:
      return text
  }
}

function readInteger(text: string): bigint | undefined {
  if (!/^[+-]?\d{1,19}$/.test(text)) return undefined
  const value = BigInt(text)
  return BigInt.asIntN(64, value) === value ? value : undefined
}

function readDouble(text: string): number | undefined {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text)
  return text === 'NaN' ? Number.NaN : /^[+-]?Infinity$/.test(text) ? Number(text) : undefined
}

function readMap(text: string): AttributeValue | undefined {
  const json = parseJsonObject(text)
  if (json === undefined) return undefined
  const entries = Object.entries(json)
  return entries.every((entry): entry is [string, string] => isText(entry[0]) && isText(entry[1]))
    ? new Map(entries)
    : undefined
}

/** JSON can escape halves of surrogate pairs, which are no characters. */
function isText(json: unknown): boolean {
  return typeof json === 'string' && json.isWellFormed()
}
