// Encoded messages as a stranger may write them: fields in any order, any number of times and from parts, entries of maps
// without a key or a value, and fields that the schema does not name.

import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'

type Write = (writer: BinaryWriter) => unknown

const MAX_DEPTH = 9

/**
 * Valid bytes of messages of a type.
 * @param texts what strings are taken from, beside arbitrary ones
 */
export function messageBytes(type: DescMessage, texts: readonly string[]): fc.Arbitrary<Uint8Array> {
  const text = fc.oneof({ arbitrary: fc.constantFrom(...texts), weight: 4 }, fc.string({ unit: 'grapheme' }))
  const integer = fc.oneof(fc.nat(300), fc.integer())
  const known = new Map<string, fc.Arbitrary<Uint8Array>>()

  const message = (desc: DescMessage, depth: number): fc.Arbitrary<Uint8Array> => {
    const id = `${depth} ${desc.typeName}`
    const before = known.get(id)
    if (before !== undefined) return before
    const fields = depth >= MAX_DEPTH ? desc.fields.filter(({ message: inner }) => inner === undefined) : desc.fields
    const made = partsOf([...fields.map((each) => field(each, depth)), unknownField(desc.fields)], depth < 3 ? 1 : 0)
    known.set(id, made)
    return made
  }
  const partsOf = (parts: readonly fc.Arbitrary<Write>[], minLength: number): fc.Arbitrary<Uint8Array> =>
    fc.array(fc.oneof(...parts), { minLength, maxLength: 6 }).map((writes) => {
      const writer = new BinaryWriter()
      for (const write of writes) write(writer)
      return writer.finish()
    })
  const part = (number: number, inner: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Write> =>
    inner.map((bytes) => (writer) => writer.tag(number, WireType.LengthDelimited).bytes(bytes))

  const scalar = (number: number, kind: ScalarType): fc.Arbitrary<Write> => {
    switch (kind) {
      case ScalarType.STRING:
        return text.map((value) => (writer) => writer.tag(number, WireType.LengthDelimited).string(value))
      case ScalarType.BYTES:
        return fc
          .oneof(
            fc.uint8Array({ maxLength: 20 }),
            text.map((value) => Buffer.from(value)),
          )
          .map((value) => (writer) => writer.tag(number, WireType.LengthDelimited).bytes(value))
      case ScalarType.DOUBLE:
        return fc.double().map((value) => (writer) => writer.tag(number, WireType.Bit64).double(value))
      case ScalarType.BOOL:
        return fc.boolean().map((value) => (writer) => writer.tag(number, WireType.Varint).bool(value))
      default:
        // A varint of any length is one of any integer type: the rest is cut off.
        return fc
          .oneof(integer.map(BigInt), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }))
          .map((value) => (writer) => writer.tag(number, WireType.Varint).int64(value))
    }
  }
  const field = (desc: DescField, depth: number): fc.Arbitrary<Write> => {
    if (desc.fieldKind === 'map') {
      const key = scalar(1, desc.mapKey)
      const value =
        desc.mapKind === 'message'
          ? part(
              2,
              fc.constant(undefined).chain(() => message(desc.message, depth + 1)),
            )
          : scalar(2, ScalarType.STRING)
      return part(desc.number, partsOf([key, value, value, unknownField([])], 0))
    }
    if (desc.message !== undefined) {
      const { message: inner } = desc
      return part(
        desc.number,
        fc.constant(undefined).chain(() => message(inner, depth + 1)),
      )
    }
    return scalar(desc.number, desc.fieldKind === 'enum' ? ScalarType.INT32 : (desc.scalar ?? ScalarType.INT32))
  }
  return message(type, 0)
}

function unknownField(known: readonly { readonly number: number }[]): fc.Arbitrary<Write> {
  const numbers = [14, 15, 16, 2_000, 536_870_911].filter((number) => !known.some((field) => field.number === number))
  return fc
    .tuple(
      fc.constantFrom(...numbers),
      fc.constantFrom(WireType.Varint, WireType.Bit64, WireType.Bit32),
      fc.boolean(),
      fc.nat(),
    )
    .map(([number, wireType, isText, value]) => (writer) => {
      if (isText) return writer.tag(number, WireType.LengthDelimited).string(`unknown ${value}`)
      writer.tag(number, wireType)
      if (wireType === WireType.Varint) return writer.uint32(value)
      return wireType === WireType.Bit64 ? writer.fixed64(value) : writer.fixed32(value)
    })
}
