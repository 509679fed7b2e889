// Rendezvous hashing: each key has an order of nodes of its own. A node that goes leaves its keys to the next ones, and
// takes no other key along.
// Sources: D. Thaler, C. Ravishankar, "Using name-based mappings to increase hit rates", 1998; weights: C. Schindelhauer,
// G. Schomaker, "Weighted distributed hash tables", 2005.

/** A text as a number of 32 bits, the same in every process. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mixed(hash)
}

/** How much a node wants a key: whoever has the most gets it. The share of keys that a node gets follows its weight. */
export function scoreOf(key: number, node: number, weight: number): number {
  // Between 0 and 1, neither included.
  const drawn = (mixed(Math.imul(key, 0x9e3779b1) ^ node) + 0.5) / 0x1_0000_0000
  return -weight / Math.log(drawn)
}

/** The finalizer of MurmurHash3 (A. Appleby): each bit changes half of the others. */
function mixed(value: number): number {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
