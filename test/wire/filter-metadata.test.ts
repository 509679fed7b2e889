// Envoy's dynamic metadata, read without the protobuf runtime and as that reads it.
import { create, fromBinary, type JsonObject, toBinary, toJson } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import { readFilterMetadata } from '../../src/wire/filter-metadata.ts'
import { MetadataSchema } from '../../src/wire/generated/envoy/config/core/v3/base_pb.ts'

const { value: json } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.string({ unit: 'grapheme' }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }),
  ),
}))
const metadata = fc.dictionary(fc.string(), fc.dictionary(fc.string(), json, { maxKeys: 4 }), { maxKeys: 4 })

/** As protobuf's own runtime encodes it, beside a field that is not JSON. */
function encoded(filterMetadata: Readonly<Record<string, unknown>>): Uint8Array {
  const typed = { 'a.filter': { typeUrl: 'type.googleapis.com/x', value: new Uint8Array([1, 2]) } }
  const message = { filterMetadata: filterMetadata as Record<string, JsonObject>, typedFilterMetadata: typed }
  return toBinary(MetadataSchema, create(MetadataSchema, message))
}

describe('metadata of filters', () => {
  it('reads as what was written', () => {
    fc.assert(
      fc.property(metadata, (written) => {
        expect(readFilterMetadata([encoded(written)]).filterMetadata).toEqual({ ...written })
      }),
    )
  })

  it('joins the parts of one message', () => {
    const parts = [encoded({ a: { x: 1 } }), encoded({ b: { y: [true, null] } })]
    expect(readFilterMetadata(parts).filterMetadata).toEqual({ a: { x: 1 }, b: { y: [true, null] } })
  })

  it('takes several values of one entry for one, as protobuf does', () => {
    // Two entries with one name are not: the last one counts.
    const entry = (...values: readonly Uint8Array[]) => {
      const parts = values.flatMap((value) => [0x12, value.length, ...value])
      return Uint8Array.of(0x0a, parts.length + 3, 0x0a, 1, 0x61, ...parts)
    }
    const text = (key: string, value: string) => {
      const field = [0x0a, 1, key.charCodeAt(0), 0x12, 3, 0x1a, 1, value.charCodeAt(0)]
      return Uint8Array.of(0x0a, field.length, ...field)
    }
    const both = entry(text('x', '1'), text('y', '2'), Uint8Array.of())
    expect(readFilterMetadata([both]).filterMetadata).toEqual({ a: { x: '1', y: '2' } })
    expect(toJson(MetadataSchema, fromBinary(MetadataSchema, both))).toEqual({
      filterMetadata: { a: { x: '1', y: '2' } },
    })
    const apart = [entry(text('x', '1')), entry(text('y', '2'))]
    expect(readFilterMetadata(apart).filterMetadata).toEqual({ a: { y: '2' } })
  })

  it('has a field __proto__ as any other', () => {
    const written = Object.fromEntries([['__proto__', { admin: true }]])
    const { filterMetadata } = readFilterMetadata([encoded({ ...written, x: {} })])
    expect(Object.getPrototypeOf(filterMetadata)).toBe(Object.prototype)
    expect('admin' in filterMetadata).toBe(false)
  })

  it('refuses bytes that are no such message, and objects within objects without end', () => {
    const bytes = encoded({ a: { b: 'c' } })
    expect(() => readFilterMetadata([bytes.subarray(0, -1)])).toThrow(IntermixError)
    const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)])
    expect(readFilterMetadata([encoded({ a: { b: nested(90) } })])).toBeDefined()
    expect(() => readFilterMetadata([encoded({ a: { b: nested(101) } })])).toThrow('within each other')
  })
})
