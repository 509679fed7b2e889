// Instances as JSON for the queue: what comes out equals what went in, to the last bit and nanosecond.

import type { FieldValue, Instance } from '../adapter-kit/instance.ts'
import { IntermixError } from '../kernel/errors.ts'
import { Duration, Timestamp } from '../kernel/time.ts'

/**
 * A value in the queue. Strings, booleans and ordinary numbers stand for themselves; the rest is a pair of a letter and
 * text: `i` INT64, `n` a double that JSON cannot hold, `t` and `d` nanoseconds of a timestamp and a duration, `b` bytes
 * in base64; or of `m` and the entries of a string map, `o` and the entries of a record.
 */
export type FieldJson =
  | string
  | boolean
  | number
  | readonly ['i' | 'n' | 't' | 'd' | 'b', string]
  | readonly ['m', readonly (readonly [string, string])[]]
  | readonly ['o', readonly (readonly [string, FieldJson])[]]

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
  return Object.entries(record).map(([key, value]) => [key, fieldToJson(value)])
}

function fieldToJson(value: FieldValue): FieldJson {
  if (typeof value === 'bigint') return ['i', String(value)]
  if (typeof value === 'number') {
    if (Object.is(value, -0)) return ['n', '-0']
    return Number.isFinite(value) ? value : ['n', String(value)]
  }
  if (typeof value !== 'object') return value
  if (value instanceof Uint8Array) return ['b', Buffer.from(value).toString('base64')]
  if (value instanceof Timestamp) return ['t', String(value.epochNanos)]
  if (value instanceof Duration) return ['d', String(value.nanos)]
  return isMap(value) ? ['m', [...value.entries()]] : ['o', entriesToJson(value)]
}

// A record of values may have a key `entries`; only a string map has a method of that name.
function isMap(value: object): value is { entries(): Iterable<[string, string]> } {
  return 'entries' in value && typeof value.entries === 'function'
}

function recordFromJson(entries: readonly (readonly [string, FieldJson])[]): Readonly<Record<string, FieldValue>> {
  return Object.fromEntries(entries.map(([key, value]) => [key, fieldFromJson(value)]))
}

function fieldFromJson(json: FieldJson): FieldValue {
  if (typeof json !== 'object') return json
  switch (json[0]) {
    case 'i':
      return BigInt(json[1])
    case 'n':
      return Number(json[1])
    case 't':
      return new Timestamp(BigInt(json[1]))
    case 'd':
      return new Duration(BigInt(json[1]))
    case 'b':
      return new Uint8Array(Buffer.from(json[1], 'base64'))
    case 'm':
      return new Map(json[1])
    case 'o':
      return recordFromJson(json[1])
    default:
      throw new IntermixError('INVALID_REQUEST', 'an instance in the queue holds an unknown kind of value')
  }
}
