import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HpackError } from '../../../../src/wire/http2/hpack/hpack-error.ts'
import { EOS, HUFFMAN_CODES } from '../../../../src/wire/http2/hpack/huffman-code.ts'
import { decodeHuffman } from '../../../../src/wire/http2/hpack/huffman-decode.ts'
import { decodeRepeated } from '../../../../src/wire/http2/hpack/literal-memo.ts'
import { fromBits, huffmanEncode } from './huffman-encode.ts'

const octets = fc.uint8Array({ maxLength: 3000 })

function decode(bytes: Uint8Array): string {
  return decodeHuffman(bytes, 0, bytes.length)
}

describe('Huffman decoding', () => {
  it('gives back any octets, with and without the memo', () => {
    fc.assert(
      fc.property(octets, fc.nat(3), (bytes, before) => {
        const coded = Buffer.concat([Buffer.alloc(before, 0x55), huffmanEncode(bytes), Buffer.from([0x55])])
        const text = Buffer.from(bytes).toString('latin1')
        for (const read of [decodeHuffman, decodeRepeated, decodeRepeated])
          expect(read(coded, before, coded.length - 1)).toBe(text)
      }),
    )
  })

  it('has the code of the RFC for every octet', () => {
    for (let octet = 0; octet < EOS; octet++) expect(decode(huffmanEncode([octet]))).toBe(String.fromCharCode(octet))
    // Appendix B names these.
    expect(HUFFMAN_CODES[0]).toEqual({ bits: 0x1ff8, length: 13 })
    expect(HUFFMAN_CODES[47]).toEqual({ bits: 0x18, length: 6 })
    expect(HUFFMAN_CODES[255]).toEqual({ bits: 0x3ffffee, length: 26 })
    expect(HUFFMAN_CODES[EOS]).toEqual({ bits: 0x3fffffff, length: 30 })
  })

  it('refuses EOS wherever it stands', () => {
    for (const symbols of [[EOS], [97, EOS], [97, EOS, 97], [EOS, EOS]])
      expect(() => decode(huffmanEncode(symbols))).toThrow(HpackError)
  })

  it('refuses padding of eight bits or more', () => {
    // '0' is 00000, '&' is 11111000.
    expect(decode(fromBits('00000111'))).toBe('0')
    expect(decode(fromBits('11111000'))).toBe('&')
    for (const bits of ['11111111', '0000011111111111', '1111100011111111'])
      expect(() => decode(fromBits(bits))).toThrow(/padded/)
  })

  it('refuses padding that is not all ones', () => {
    for (const bits of ['00000110', '00000000', '00000011', '1111100011111110'])
      expect(() => decode(fromBits(bits))).toThrow(/padded/)
  })

  it('keeps apart codes of one slot', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('/a.B/C', '/a.C/B', '/b.A/C', '/c.B/A', 'x', 'y', 'z')), (texts) => {
        for (const text of texts) {
          const coded = huffmanEncode(Buffer.from(text))
          expect(decodeRepeated(coded, 0, coded.length)).toBe(text)
        }
      }),
    )
  })
})
