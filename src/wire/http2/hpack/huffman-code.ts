// The Huffman code of HPACK (RFC 7541, appendix B). It is canonical: the lengths of its codes say all of it.

const LENGTHS = `
  13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28
  28 28 28 28 28 28 28 28 6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6
  5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10 13 6 7 7 7 7 7 7
  7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6
  15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7
  7 7 7 15 11 14 13 28 20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23
  24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24 22 21 20 22 22 23 23 21
  23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
  26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24
  21 21 26 26 28 27 27 27 20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23
  26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26 30`

/** The symbol behind the 256 octets: it ends nothing and may not occur (section 5.2). */
export const EOS = 256

/** The code of a symbol: `length` bits, the most significant first. */
export interface HuffmanCode {
  readonly bits: number
  readonly length: number
}

/** Codes by symbol, EOS the last. */
export const HUFFMAN_CODES: readonly HuffmanCode[] = canonicalCodes(LENGTHS.trim().split(/\s+/).map(Number))

function canonicalCodes(lengths: readonly number[]): HuffmanCode[] {
  const codes: HuffmanCode[] = []
  const symbols = [...lengths.keys()].sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0) || a - b)
  let bits = 0
  let before = 0
  for (const symbol of symbols) {
    const length = lengths[symbol] ?? 0
    bits <<= length - before
    before = length
    codes[symbol] = { bits, length }
    bits++
  }
  return codes
}
