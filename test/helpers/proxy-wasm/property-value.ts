// What a module gets of a property: a value somewhere in a tree, serialised as Envoy serialises CEL values.

import { marshalPairs } from './pairs.ts'
import { Result } from './abi.ts'

/** Attributes of Envoy that know each name they are asked for, and cannot be listed (`request`, `source` …). */
export class Fields {
  readonly get: (name: string) => PropertyValue | undefined

  constructor(get: (name: string) => PropertyValue | undefined) {
    this.get = get
  }
}

/** A protobuf message: its fields by name, and its bytes where it is asked for whole. */
export class MessageValue {
  readonly fields: ReadonlyMap<string, PropertyValue>
  readonly bytes: Uint8Array

  constructor(fields: ReadonlyMap<string, PropertyValue>, bytes: Uint8Array) {
    this.fields = fields
    this.bytes = bytes
  }
}

/** Text, bytes, integers (times and durations in ns are such), doubles and booleans, maps and lists. */
export type PropertyValue =
  | string
  | Uint8Array
  | bigint
  | number
  | boolean
  | Fields
  | MessageValue
  | ReadonlyMap<string, PropertyValue>
  | readonly PropertyValue[]

/** The value behind a path; `undefined` where there is none. */
export function valueAt(root: PropertyValue, path: readonly string[]): PropertyValue | undefined {
  let value: PropertyValue | undefined = root
  for (const part of path) {
    if (value === undefined) return undefined
    value = memberOf(value, part)
  }
  return value
}

function memberOf(value: PropertyValue, part: string): PropertyValue | undefined {
  if (value instanceof Fields || value instanceof Map) return value.get(part)
  if (value instanceof MessageValue) return value.fields.get(part)
  return Array.isArray(value) && /^\d+$/.test(part) ? (value as readonly PropertyValue[])[Number(part)] : undefined
}

/** @returns the bytes, or why there are none */
export function serialized(value: PropertyValue): Uint8Array | Result {
  if (typeof value === 'string') return Buffer.from(value, 'utf8')
  if (value instanceof Uint8Array) return value
  if (typeof value === 'boolean') return Uint8Array.of(value ? 1 : 0)
  if (typeof value === 'bigint') {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt.asIntN(64, value))
    return bytes
  }
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    return bytes
  }
  if (value instanceof MessageValue) return value.bytes
  if (value instanceof Fields) return Result.SERIALIZATION_FAILURE
  const isList = Array.isArray(value)
  const entries = isList
    ? (value as readonly PropertyValue[]).map((item) => [item, ''] as const)
    : [...(value as ReadonlyMap<string, PropertyValue>)]
  const pairs = []
  for (const [first, second] of entries) {
    const [one, other] = [serialized(first), serialized(second)]
    if (!(one instanceof Uint8Array) || !(other instanceof Uint8Array)) return Result.SERIALIZATION_FAILURE
    pairs.push([one, other] as const)
  }
  return marshalPairs(pairs)
}
