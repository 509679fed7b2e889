// Reads the typed attribute values of the shared client vectors.

import { Duration, Timestamp } from '../../../src/kernel/time.ts'
import type { AttributeValue } from '../../../src/kernel/value.ts'
import type { Attributes } from './compress.ts'

interface Parts {
  readonly seconds: number
  readonly nanos: number
}

export interface VectorValue {
  readonly string?: string
  readonly int64?: number
  readonly double?: number
  readonly bool?: boolean
  readonly bytes_utf8?: string
  readonly timestamp?: Parts
  readonly duration?: Parts
  readonly string_map?: Record<string, string>
}

export type VectorAttributes = Readonly<Record<string, VectorValue>>

function valueOf(value: VectorValue): AttributeValue {
  if (value.string !== undefined) return value.string
  if (value.int64 !== undefined) return BigInt(value.int64)
  if (value.double !== undefined) return value.double
  if (value.bool !== undefined) return value.bool
  if (value.bytes_utf8 !== undefined) return new Uint8Array(Buffer.from(value.bytes_utf8))
  if (value.timestamp !== undefined) return Timestamp.fromParts(BigInt(value.timestamp.seconds), value.timestamp.nanos)
  if (value.duration !== undefined) return Duration.fromParts(BigInt(value.duration.seconds), value.duration.nanos)
  if (value.string_map !== undefined) return new Map(Object.entries(value.string_map))
  throw new Error(`a vector value of an unknown type: ${JSON.stringify(value)}`)
}

export function attributesOf(values: VectorAttributes): Attributes {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, valueOf(value)]))
}
