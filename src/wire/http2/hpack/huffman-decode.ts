// Decodes Huffman-coded strings four bits a step: a state is an inner node of the code's tree.

import { HpackError } from './hpack-error.ts'
import { EOS, HUFFMAN_CODES } from './huffman-code.ts'

/** Bits 0 to 7 of a step: the next state; 8 to 15: the octet that it gives, where EMITS is set. */
const EMITS = 1 << 16
const FAILS = 1 << 17
/** Padding is the beginning of EOS, which is all ones, and shorter than an octet. */
const MAX_PADDING_BITS = 7

/** The step from state `s` by the four bits `n` is at `s * 16 + n`: 16 KiB, which stay in the processor's nearest cache. */
const STEPS = new Uint32Array(256 * 16)
/** Whether a string may end in a state. */
const MAY_END = new Uint8Array(256)
buildSteps()

function buildSteps(): void {
  // Children of the inner nodes; a leaf is its symbol's complement.
  const tree: [number, number][] = [[0, 0]]
  for (const [symbol, { bits, length }] of HUFFMAN_CODES.entries()) {
    let node = 0
    for (let bit = length - 1; bit > 0; bit--) {
      const pair = tree[node] as [number, number]
      const side = ((bits >> bit) & 1) as 0 | 1
      if (pair[side] === 0) pair[side] = tree.push([0, 0]) - 1
      node = pair[side]
    }
    ;(tree[node] as [number, number])[(bits & 1) as 0 | 1] = ~symbol
  }
  for (let state = 0; state < tree.length; state++)
    for (let nibble = 0; nibble < 16; nibble++) STEPS[state * 16 + nibble] = step(tree, state, nibble)
  let state = 0
  for (let bits = 0; bits <= MAX_PADDING_BITS; bits++) {
    MAY_END[state] = 1
    state = tree[state]?.[1] ?? 0
  }
}

/** No code is shorter than five bits, so that a step gives one octet at most. */
function step(tree: readonly [number, number][], from: number, nibble: number): number {
  let state = from
  let emitted = 0
  for (let bit = 3; bit >= 0; bit--) {
    const child = tree[state]?.[((nibble >> bit) & 1) as 0 | 1] ?? 0
    if (child === ~EOS) return FAILS
    if (child < 0) emitted = EMITS | (~child << 8)
    state = child < 0 ? 0 : child
  }
  return emitted | state
}

/** Grows to the longest string but for those that no well-behaved peer sends. */
let scratch = Buffer.allocUnsafeSlow(1024)
const MAX_KEPT_BYTES = 64 * 1024

/**
 * The string that lies Huffman-coded between two offsets, one character an octet.
 * @throws HpackError where EOS occurs, or where the padding is longer than seven bits or is not the beginning of EOS.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string {
  const target = room(Math.ceil(((end - start) * 8) / 5))
  let length = 0
  let state = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number
    const first = STEPS[state * 16 + (byte >> 4)] as number
    if ((first & EMITS) !== 0) target[length++] = (first >> 8) & 0xff
    const second = STEPS[(first & 0xff) * 16 + (byte & 15)] as number
    if ((second & EMITS) !== 0) target[length++] = (second >> 8) & 0xff
    if (((first | second) & FAILS) !== 0) throw new HpackError('a Huffman-coded string holds EOS')
    state = second & 0xff
  }
  if (MAY_END[state] === 0) throw new HpackError('a Huffman-coded string is not padded with the beginning of EOS')
  return target.toString('latin1', 0, length)
}

function room(bytes: number): Buffer {
  if (bytes <= scratch.length) return scratch
  const larger = Buffer.allocUnsafeSlow(bytes)
  if (bytes <= MAX_KEPT_BYTES) scratch = larger
  return larger
}
