// Records as they travel through the queue (format `attributes`): JSON that loses nothing, whatever a value's type.

import { type AttributeBag, MapBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject } from '../kernel/json-object.ts'
import type { AttributeValue } from '../kernel/value.ts'
import { decodeValue, type EncodedValue, encodeValue } from '../kernel/value-json.ts'
import { parseJson } from '../kernel/parse-json.ts'

/** The name of the format. */
export const RECORDS_FORMAT = 'attributes'

/** Encodes records for a batch of format `attributes`. */
export function encodeRecords(bags: readonly AttributeBag[]): Uint8Array {
  const records = bags.map((bag) => {
    const record: Record<string, EncodedValue> = Object.create(null) as Record<string, EncodedValue>
    for (const name of bag.names()) {
      const value = bag.get(name)
      if (value !== undefined) record[name] = encodeValue(value)
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
    if (!isJsonObject(record)) throw malformed(`record ${index}`)
    const values = new Map<string, AttributeValue>()
    for (const [name, encoded] of Object.entries(record)) {
      const value = decodeValue(encoded)
      if (value === undefined) throw malformed(`record ${index}, attribute ${name.slice(0, 200)}`)
      values.set(name, value)
    }
    return new MapBag(values)
  })
}

function parse(payload: Uint8Array): unknown[] {
  let json: unknown
  try {
    json = parseJson(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'))
  } catch (caught) {
    throw new IntermixError('INVALID_REQUEST', 'not a batch of records: malformed JSON', { cause: caught })
  }
  if (!Array.isArray(json)) throw malformed('the top')
  return json as unknown[]
}

function malformed(place: string): IntermixError {
  return new IntermixError('INVALID_REQUEST', `not a batch of records: ${place} is not as encodeRecords writes it`)
}
