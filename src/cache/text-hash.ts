// A number for a text, for counting only and never for identity.

/** FNV-1a with a final mix: 32 bits with a sign. @param seed what comes before the text */
export function textHash(text: string, seed: number): number {
  let hash = seed ^ 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return hash ^ (hash >>> 13)
}
