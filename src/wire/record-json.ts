// Records as they travel through the queue (format `attributes`): JSON that loses nothing, whatever a value's type.

import { type AttributeBag, MapBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import { Duration, Timestamp } from '../kernel/time.ts'
import { type AttributeValue, isStringMap } from '../kernel/value.ts'

/**
 * Strings, booleans and finite numbers stand for themselves. Everything else is an object with one key that names the
 * type, since JSON has no word for it.
 */
type Encoded =
  | string
  | boolean
  | number
  | { readonly int: string }
  | { readonly double: string }
  | { readonly bytes: string }
  | { readonly time: string }
  | { readonly span: string }
  | { readonly map: readonly (readonly [string, string])[] }

/** Encodes records for a batch of format `attributes`. */
export function encodeRecords(bags: readonly AttributeBag[]): Uint8Array {
  const records = bags.map((bag) => {
    const record: Record<string, Encoded> = Object.create(null) as Record<string, Encoded>
    for (const name of bag.names()) {
      const value = bag.get(name)
      if (value !== undefined) record[name] = encode(value)
    }
    return record
  })
  return Buffer.from(JSON.stringify(records), 'utf8')
}

/**
 * Decodes what `encodeRecords` made.
 * @throws IntermixError INVALID_REQUEST where the payload is something else.
 */
export function decodeRecords(payload: Uint8Array): AttributeBag[] {
  const records = parse(payload)
  return records.map((record, index) => {
    if (typeof record !== 'object' || record === null || Array.isArray(record)) throw malformed(`record ${index}`)
    const values = new Map<string, AttributeValue>()
    for (const [name, encoded] of Object.entries(record)) {
      const value = decode(encoded)
      if (value === undefined) throw malformed(`record ${index}, attribute ${name.slice(0, 200)}`)
      values.set(name, value)
    }
    return new MapBag(values)
  })
}

function encode(value: AttributeValue): Encoded {
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

function decode(encoded: unknown): AttributeValue | undefined {
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

function parse(payload: Uint8Array): unknown[] {
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'))
  } catch (caught) {
    throw new IntermixError('INVALID_REQUEST', 'not a batch of records: malformed JSON', { cause: caught })
  }
  if (!Array.isArray(json)) throw malformed('the top')
  return json as unknown[]
}

function malformed(place: string): IntermixError {
  return new IntermixError('INVALID_REQUEST', `not a batch of records: ${place} is not as encodeRecords writes it`)
}
