// What an instance, or another record of values, takes of memory.

import type { FieldValue, Instance } from '../adapter-kit/instance.ts'
import { type AttributeValue, isStringMap } from '../kernel/value.ts'

const PER_VALUE = 48

/** Bytes that an instance takes, roughly: its object, its values and their texts. */
export function instanceBytes({ fields }: Instance): number {
  return PER_VALUE + recordBytes(fields)
}

/** Bytes that a record of values takes, roughly. */
export function recordBytes(record: Readonly<Record<string, FieldValue>>): number {
  let bytes = PER_VALUE
  for (const name in record) {
    const value = record[name]
    if (value !== undefined) bytes += valueBytes(value)
  }
  return bytes
}

function valueBytes(value: FieldValue): number {
  if (typeof value === 'string') return PER_VALUE + 2 * value.length
  if (typeof value !== 'object') return PER_VALUE
  if (value instanceof Uint8Array) return PER_VALUE + value.length
  const attribute = value as AttributeValue
  if (isStringMap(attribute)) {
    let bytes = PER_VALUE
    // Front doors have maps of their own, which are no `Map`.
    for (const [key, text] of attribute.entries()) bytes += PER_VALUE + 2 * (key.length + text.length)
    return bytes
  }
  const isRecord = Object.getPrototypeOf(value) === Object.prototype
  return PER_VALUE + (isRecord ? recordBytes(value as Readonly<Record<string, FieldValue>>) : 0)
}
