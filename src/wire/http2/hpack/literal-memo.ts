// Strings of Huffman-coded literals that come again and again: nghttp2, and so Envoy, sends :path anew with every request.

import { decodeHuffman } from './huffman-decode.ts'

/** A power of two. */
const SLOTS = 64
const MAX_CODED_BYTES = 128

const coded = new Uint8Array(SLOTS * MAX_CODED_BYTES)
const lengths = new Uint8Array(SLOTS)
const texts = new Array<string>(SLOTS).fill('')

/**
 * `decodeHuffman`, but the string that the same bytes gave before where it is still known: to compare costs a fifth of decoding
 * and makes nothing. All connections share the slots, since the bytes say all; so secrets, which come as never-indexed
 * literals, do not go through here.
 */
export function decodeRepeated(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start
  if (length === 0 || length > MAX_CODED_BYTES) return decodeHuffman(bytes, start, end)
  const slot = slotOf(bytes, start, end)
  const base = slot * MAX_CODED_BYTES
  if (lengths[slot] === length) {
    let same = 0
    while (same < length && coded[base + same] === bytes[start + same]) same++
    if (same === length) return texts[slot] as string
  }
  const text = decodeHuffman(bytes, start, end)
  for (let at = 0; at < length; at++) coded[base + at] = bytes[start + at] as number
  lengths[slot] = length
  texts[slot] = text
  return text
}

function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const middle = bytes[(start + end) >> 1] as number
  return ((end - start) * 31 + middle * 7 + (bytes[end - 1] as number)) & (SLOTS - 1)
}
