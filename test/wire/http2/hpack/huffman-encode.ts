// Huffman-codes strings, which the product only reads.
import { HUFFMAN_CODES } from '../../../../src/wire/http2/hpack/huffman-code.ts'

/** The coded octets of symbols, padded with ones. Symbol 256 is EOS. */
export function huffmanEncode(symbols: Iterable<number>): Buffer {
  let bits = ''
  for (const symbol of symbols) {
    const code = HUFFMAN_CODES[symbol]
    if (code === undefined) throw new Error(`no symbol ${symbol}`)
    bits += code.bits.toString(2).padStart(code.length, '0')
  }
  return fromBits(bits.padEnd(Math.ceil(bits.length / 8) * 8, '1'))
}

/** Octets from digits. */
export function fromBits(bits: string): Buffer {
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)))
}
