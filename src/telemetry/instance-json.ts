// Instances as JSON for the queue: what comes out equals what went in, to the last bit and nanosecond.

import type { FieldValue, Instance } from '../adapter-kit/instance.ts'
import { IntermixError } from '../kernel/errors.ts'
import { Duration, Timestamp } from '../kernel/time.ts'
import type { AttributeValue } from '../kernel/value.ts'
import { decodeValue, type EncodedValue, encodeValue } from '../kernel/value-json.ts'

/** A field in the queue: a value, or a list of entries for a record of fields. */
export type FieldJson = EncodedValue | readonly (readonly [string, FieldJson])[]

export interface InstanceJson {
  readonly name: string
  readonly template: string
  readonly fields: readonly (readonly [string, FieldJson])[]
}

export function instanceToJson(instance: Instance): InstanceJson {
  return { name: instance.name, template: instance.template, fields: entriesToJson(instance.fields) }
}

/** @throws IntermixError INVALID_REQUEST for what `instanceToJson` did not write. */
export function instanceFromJson(json: InstanceJson): Instance {
  return { name: json.name, template: json.template, fields: recordFromJson(json.fields) }
}

function entriesToJson(record: Readonly<Record<string, FieldValue>>): [string, FieldJson][] {
  return Object.entries(record).map(([key, value]) => [key, isValue(value) ? encodeValue(value) : entriesToJson(value)])
}

function isValue(value: FieldValue): value is AttributeValue {
  if (typeof value !== 'object' || value instanceof Uint8Array) return true
  // A record of values may have a key `entries`; only a string map has a method of that name.
  const { entries } = value as { entries?: unknown }
  return value instanceof Timestamp || value instanceof Duration || typeof entries === 'function'
}

function recordFromJson(entries: readonly (readonly [string, FieldJson])[]): Readonly<Record<string, FieldValue>> {
  return Object.fromEntries(entries.map(([key, json]) => [key, fieldFromJson(json)]))
}

function fieldFromJson(json: FieldJson): FieldValue {
  if (Array.isArray(json)) return recordFromJson(json as readonly (readonly [string, FieldJson])[])
  const value = decodeValue(json)
  if (value !== undefined) return value
  throw new IntermixError('INVALID_REQUEST', 'an instance in the queue holds an unknown kind of value')
}
