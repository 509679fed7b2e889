import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WireWriter } from '../../src/wire/wire-writer.ts'

/** One step, as the library of protobuf writes it and as ours does. */
interface Write {
  theirs(writer: BinaryWriter): void
  ours(writer: WireWriter): void
}

const field = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 536_870_911 }))

const scalar: fc.Arbitrary<Write> = fc.oneof(
  fc.tuple(field, fc.maxSafeNat()).map(
    ([number, value]): Write => ({
      theirs: (writer) => value !== 0 && writer.tag(number, WireType.Varint).uint64(value),
      ours: (writer) => writer.uint(number, value),
    }),
  ),
  fc.tuple(field, fc.integer()).map(
    ([number, value]): Write => ({
      theirs: (writer) => value !== 0 && writer.tag(number, WireType.Varint).int32(value),
      ours: (writer) => writer.int32(number, value),
    }),
  ),
  fc.tuple(field, fc.integer()).map(
    ([number, value]): Write => ({
      theirs: (writer) => value !== 0 && writer.tag(number, WireType.Varint).sint32(value),
      ours: (writer) => writer.sint32(number, value),
    }),
  ),
  fc.tuple(field, fc.boolean()).map(
    ([number, value]): Write => ({
      theirs: (writer) => value && writer.tag(number, WireType.Varint).bool(value),
      ours: (writer) => writer.bool(number, value),
    }),
  ),
  fc.tuple(field, fc.double()).map(
    ([number, value]): Write => ({
      theirs: (writer) => writer.tag(number, WireType.Bit64).double(value),
      ours: (writer) => writer.double(number, value),
    }),
  ),
  fc.tuple(field, fc.string({ unit: 'grapheme', maxLength: 200 }), fc.nat(20), fc.boolean()).map(
    ([number, part, times, isRepeated]): Write => ({
      theirs: (writer) => {
        const value = part.repeat(times)
        if (value !== '' || isRepeated) writer.tag(number, WireType.LengthDelimited).string(value)
      },
      ours: (writer) => writer.text(number, part.repeat(times), isRepeated),
    }),
  ),
  fc.tuple(field, fc.uint8Array({ maxLength: 9_000 }), fc.boolean()).map(
    ([number, value, isRepeated]): Write => ({
      theirs: (writer) => {
        if (value.length > 0 || isRepeated) writer.tag(number, WireType.LengthDelimited).bytes(value)
      },
      ours: (writer) => writer.bytes(number, value, isRepeated),
    }),
  ),
)

function message(depth: number): fc.Arbitrary<Write[]> {
  const nested = (): fc.Arbitrary<Write> =>
    fc.tuple(field, message(depth - 1)).map(([number, inner]) => ({
      theirs(writer) {
        writer.tag(number, WireType.LengthDelimited).fork()
        for (const write of inner) write.theirs(writer)
        writer.join()
      },
      ours(writer) {
        const opened = writer.open(number)
        for (const write of inner) write.ours(writer)
        writer.close(opened)
      },
    }))
  return fc.array(depth === 0 ? scalar : fc.oneof(scalar, nested()), { maxLength: 5 })
}

describe('WireWriter', () => {
  it('writes what the library of protobuf writes, message after message', () => {
    const ours = new WireWriter()
    fc.assert(
      fc.property(message(3), (writes) => {
        const theirs = new BinaryWriter()
        for (const write of writes) write.theirs(theirs)
        for (const write of writes) write.ours(ours)
        expect(Buffer.from(theirs.finish()).equals(ours.take())).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  it('writes a character for halves of surrogate pairs, which protobuf has none for', () => {
    const writer = new WireWriter()
    writer.text(1, 'a\ud800b')
    expect(writer.take().toString('utf8', 2)).toBe('a\ufffdb')
  })

  it('forgets what was begun and not taken', () => {
    const writer = new WireWriter()
    writer.text(1, 'begun')
    writer.reset()
    expect(writer.size).toBe(0)
    expect(writer.take()).toHaveLength(0)
  })

  it.each([0, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000])('nests a message of %i bytes', (size) => {
    const writer = new WireWriter()
    const opened = writer.open(1)
    writer.encoded(Buffer.alloc(size, 7))
    writer.close(opened)
    const theirs = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(Buffer.alloc(size, 7)).finish()
    expect(writer.take().equals(theirs)).toBe(true)
  })
})
