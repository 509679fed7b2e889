// A number for a key that is spread evenly already.

/** 32 bits, with a sign as V8 keeps them in place, of a key that is a hash in base64 (`instance-key.ts`): of six of its characters, all other than those of other hashes of it. */
export function keyFingerprint(key: string): number {
  let hash = 0
  for (let i = 1; i < 7; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b)
  return hash ^ (hash >>> 13)
}
