// Encodes fields without a dynamic table: what is encoded once may be sent any number of times, on any connection.

import { type Field, HpackError } from './hpack-error.ts'
import { assertOctets, Literal, maxFieldBytes, writeIndexed, writeLiteral } from './representation.ts'
import { staticField, staticName } from './static-table.ts'

/** A header block, or a part of one, of these fields. @throws HpackError where a character is no octet of a header. */
export function encodeFields(fields: readonly Field[]): Buffer {
  const target = Buffer.alloc(fields.reduce((sum, [name, value]) => sum + maxFieldBytes(name, value), 0))
  let at = 0
  for (const [name, value] of fields) at = writeField(target, at, name, value)
  return target.subarray(0, at)
}

/**
 * Writes one field and returns where it ends.
 * @throws HpackError where the target has less room than `maxFieldBytes`, or a character is no octet of a header.
 */
export function writeField(target: Uint8Array, start: number, name: string, value: string): number {
  if (start + maxFieldBytes(name, value) > target.length) throw new HpackError(`no room for ${name}`)
  assertOctets(name)
  assertOctets(value)
  const index = staticField(name, value)
  if (index !== 0) return writeIndexed(target, start, index)
  return writeLiteral(target, start, Literal.NOT_INDEXED, staticName(name), [name, value])
}
