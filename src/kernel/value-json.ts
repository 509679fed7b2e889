// Attribute values as JSON that loses nothing, whatever their type: for queues and for the mesh-wide cache.

import { Duration, Timestamp } from './time.ts'
import { type AttributeValue, isStringMap } from './value.ts'

/**
 * Strings, booleans and finite numbers stand for themselves. Everything else is an object with one key that names the
 * type, since JSON has no word for it.
 */
export type EncodedValue =
  | string
  | boolean
  | number
  | { readonly int: string }
  | { readonly double: string }
  | { readonly bytes: string }
  | { readonly time: string }
  | { readonly span: string }
  | { readonly map: readonly (readonly [string, string])[] }

/** A value for `JSON.stringify`. */
export function encodeValue(value: AttributeValue): EncodedValue {
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'bigint') return { int: value.toString() }
  if (typeof value === 'number') {
    if (Object.is(value, -0)) return { double: '-0' }
    return Number.isFinite(value) ? value : { double: String(value) }
  }
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('base64') }
  if (value instanceof Timestamp) return { time: value.epochNanos.toString() }
  if (value instanceof Duration) return { span: value.nanos.toString() }
  return { map: isStringMap(value) ? [...value.entries()] : [] }
}

/** JSON of what may hold integers of 64 bits, or numbers that JSON has no word for. */
export function exactJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'bigint' || typeof part === 'number' ? encodeValue(part) : part,
  )
}

/** The value again; `undefined` for anything that `encodeValue` did not make. */
export function decodeValue(encoded: unknown): AttributeValue | undefined {
  if (typeof encoded === 'string' || typeof encoded === 'boolean' || typeof encoded === 'number') return encoded
  if (typeof encoded !== 'object' || encoded === null) return undefined
  const [entry, ...more] = Object.entries(encoded)
  if (entry === undefined || more.length > 0) return undefined
  const [kind, body] = entry as [string, unknown]
  if (kind === 'map') return decodeMap(body)
  if (typeof body !== 'string') return undefined
  if (kind === 'double') return /^(-0|NaN|-?Infinity)$/.test(body) ? Number(body) : undefined
  if (kind === 'bytes') return Uint8Array.from(Buffer.from(body, 'base64'))
  const integer = /^-?\d{1,40}$/.test(body) ? BigInt(body) : undefined
  if (integer === undefined) return undefined
  if (kind === 'int') return integer
  if (kind === 'time') return new Timestamp(integer)
  return kind === 'span' ? new Duration(integer) : undefined
}

function decodeMap(body: unknown): AttributeValue | undefined {
  if (!Array.isArray(body)) return undefined
  const map = new Map<string, string>()
  for (const pair of body as unknown[]) {
    if (!Array.isArray(pair)) return undefined
    const [key, value] = pair as unknown[]
    if (typeof key !== 'string' || typeof value !== 'string') return undefined
    map.set(key, value)
  }
  return map
}
