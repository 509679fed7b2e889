// Lists of pairs as the ABI marshals them: the number of pairs, all sizes, then all texts with a NUL behind each.

export type Pair = readonly [Uint8Array, Uint8Array]

export function marshalPairs(pairs: readonly Pair[]): Uint8Array {
  const size = pairs.reduce((sum, [first, second]) => sum + 8 + first.length + 1 + second.length + 1, 4)
  const bytes = Buffer.alloc(size)
  bytes.writeUInt32LE(pairs.length, 0)
  let sizesAt = 4
  let at = 4 + pairs.length * 8
  for (const text of pairs.flat()) {
    bytes.writeUInt32LE(text.length, sizesAt)
    sizesAt += 4
    bytes.set(text, at)
    at += text.length + 1
  }
  return bytes
}

/** Envoy reads no more (PROXY_WASM_HOST_PAIRS_MAX_COUNT, …_MAX_BYTES). */
const MAX_PAIRS = 1_024
const MAX_BYTES = 1_024 * 1_024

/** `undefined` where Envoy cannot read them, which takes them for none and says nothing. */
export function unmarshalPairs(bytes: Buffer): readonly Pair[] | undefined {
  if (bytes.length === 0) return []
  if (bytes.length < 4 || bytes.length > MAX_BYTES) return undefined
  const count = bytes.readUInt32LE(0)
  let at = 4 + count * 8
  if (count > MAX_PAIRS || at > bytes.length) return undefined
  const texts: Uint8Array[] = []
  for (let i = 0; i < count * 2; i++) {
    const size = bytes.readUInt32LE(4 + i * 4)
    if (at + size >= bytes.length || bytes[at + size] !== 0) return undefined
    texts.push(bytes.subarray(at, at + size))
    at += size + 1
  }
  return Array.from({ length: count }, (_, i): Pair => [texts[i * 2] as Uint8Array, texts[i * 2 + 1] as Uint8Array])
}
