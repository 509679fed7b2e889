import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HpackDecoder } from '../../../../src/wire/http2/hpack/decoder.ts'
import { encodeFields, writeField } from '../../../../src/wire/http2/hpack/encode-fields.ts'
import { HpackEncoder } from '../../../../src/wire/http2/hpack/encoder.ts'
import { type Field, HpackError } from '../../../../src/wire/http2/hpack/hpack-error.ts'
import { decodeAll } from './collect.ts'

const LIMITS = { maxTableBytes: 1 << 20, maxListBytes: 1 << 20 }
const KNOWN: Field[] = [
  [':status', '200'],
  [':status', '204'],
  ['content-type', 'application/grpc'],
  ['grpc-status', '0'],
]

const octet = fc.oneof(fc.integer({ min: 0x20, max: 0x7e }), fc.integer({ min: 0x80, max: 0xff }), fc.constant(0x09))
const text = (maxLength: number) => fc.array(octet, { maxLength }).map((codes) => String.fromCharCode(...codes))
/** Names that come again, so that the tables are used; values that push others out. */
const field: fc.Arbitrary<Field> = fc.tuple(
  fc.constantFrom(':path', 'a', 'authorization', 'content-type', 'x-request-id', 'y'.repeat(200)),
  fc.oneof(fc.constantFrom('', '1', '2', 'z'.repeat(300)), text(20), text(3000)),
)

describe('fields without a table', () => {
  it('come back as they were, in their order, from any decoder at any time', () => {
    const decoder = new HpackDecoder(LIMITS)
    fc.assert(
      fc.property(fc.array(fc.oneof(field, fc.constantFrom(...KNOWN)), { maxLength: 20 }), (fields) => {
        const { version } = decoder
        expect(decodeAll(decoder, encodeFields(fields))).toEqual(fields)
        expect(decoder.version).toBe(version)
      }),
    )
  })

  it('are octets where the static table has them', () => {
    expect(encodeFields([[':status', '200']]).toString('hex')).toBe('88')
    expect(encodeFields([['content-type', 'x']]).toString('hex')).toBe('0f100178')
  })

  it('are written one by one at an offset', () => {
    const target = Buffer.alloc(64, 0xaa)
    const end = writeField(target, writeField(target, 3, 'grpc-status', '7'), 'grpc-message', 'no')
    expect(target.subarray(0, 3).toString('hex')).toBe('aaaaaa')
    expect(decodeAll(new HpackDecoder(LIMITS), target.subarray(3, end))).toEqual([
      ['grpc-status', '7'],
      ['grpc-message', 'no'],
    ])
    expect(target[end]).toBe(0xaa)
  })

  it.each(['line\nbreak', 'nul\0', '\u010aline', '\u007f'])('refuse %j, which is no header', (value) => {
    expect(() => encodeFields([['a', value]])).toThrow(HpackError)
    expect(() => encodeFields([[value, 'a']])).toThrow(HpackError)
  })

  it('are not cut where there is no room', () => {
    expect(() => writeField(Buffer.alloc(20), 0, 'grpc-message', 'too long for it')).toThrow(/no room/)
    expect(() => writeField(Buffer.alloc(2), 2, ':status', '200')).toThrow(/no room/)
  })
})

describe('an encoder with a table', () => {
  it('stays in step with its decoder over any blocks and sizes', () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ fields: fc.array(field, { maxLength: 8 }) }) },
      { weight: 1, arbitrary: fc.record({ bytes: fc.constantFrom(0, 32, 100, 1000, 4096, 100_000) }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.constantFrom(64, 4096, 65_536), (steps, own) => {
        const encoder = new HpackEncoder(own)
        const decoder = new HpackDecoder(LIMITS)
        for (const each of steps) {
          if ('bytes' in each) encoder.peerTableBytes(each.bytes)
          else expect(decodeAll(decoder, encoder.encode(each.fields))).toEqual(each.fields)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('makes a repeated request a few octets', () => {
    const encoder = new HpackEncoder()
    const request: Field[] = [
      [':method', 'POST'],
      [':path', '/intermix.v1.Batch/Stream'],
      ['te', 'trailers'],
    ]
    encoder.encode(request)
    expect(encoder.encode(request)).toHaveLength(3)
  })

  it('shrinks to the smallest size between two blocks', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder(LIMITS)
    decodeAll(decoder, encoder.encode([['a', '1']]))
    encoder.peerTableBytes(0)
    encoder.peerTableBytes(4096)
    const block = encoder.encode([['a', '1']])
    expect(block.subarray(0, 4).toString('hex')).toBe('203fe11f')
    expect(decodeAll(decoder, block)).toEqual([['a', '1']])
  })

  it('never puts secrets into a table', () => {
    const encoder = new HpackEncoder()
    const blocks = [1, 2].map(() => encoder.encode([['authorization', 'Bearer s3cret']]).toString('hex'))
    expect(blocks[0]).toBe(blocks[1])
    expect(blocks[0]?.startsWith('1f08')).toBe(true)
  })

  it('keeps its table when a block cannot be encoded', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder(LIMITS)
    const bad: Field[] = [
      ['a', '1'],
      ['b', '\n'],
    ]
    expect(() => encoder.encode(bad)).toThrow(HpackError)
    expect(decodeAll(decoder, encoder.encode([['a', '1']]))).toEqual([['a', '1']])
  })
})
