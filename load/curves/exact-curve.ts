// What caches of several sizes find of a trace, all of it and no sample.

import { MINI_CACHES, type MiniCacheKind } from '../../src/cache/tuning/mini-cache.ts'

/** Share of requests that a cache of each size misses, which counts every entry as one byte. */
export function exactMisses(kind: MiniCacheKind, keys: Int32Array, sizes: readonly number[]): readonly number[] {
  return sizes.map((size) => {
    const cache = MINI_CACHES[kind]()
    cache.resize(size)
    let misses = 0
    for (const key of keys) if (!cache.ask(fingerprintOf(key), 1, Number.POSITIVE_INFINITY, 0)) misses++
    return misses / keys.length
  })
}

/** What a cache finds, request by request: 1 for a hit. */
export function hitsOf(kind: MiniCacheKind, keys: Int32Array, size: number): Uint8Array {
  const cache = MINI_CACHES[kind]()
  cache.resize(size)
  return Uint8Array.from(keys, (key) => (cache.ask(fingerprintOf(key), 1, Number.POSITIVE_INFINITY, 0) ? 1 : 0))
}

/** A hash for a key of a trace, as texts have it. */
export function fingerprintOf(key: number): number {
  let hash = Math.imul(key + 0x9e3779b9, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

/**
 * The same of LRU, by the number of other keys since the last request of a key (Mattson, Gecsei, Slutz, Traiger 1970), counted in a
 * Fenwick tree.
 */
export function mattsonMisses(keys: Int32Array, sizes: readonly number[]): readonly number[] {
  const tree = new Int32Array(keys.length + 1)
  const add = (at: number, value: number) => {
    for (let i = at + 1; i < tree.length; i += i & -i) tree[i] = (tree[i] ?? 0) + value
  }
  const upTo = (at: number) => {
    let sum = 0
    for (let i = at + 1; i > 0; i -= i & -i) sum += tree[i] ?? 0
    return sum
  }
  const last = new Map<number, number>()
  const misses = sizes.map(() => 0)
  for (const [at, key] of keys.entries()) {
    const before = last.get(key)
    const distance = before === undefined ? Number.POSITIVE_INFINITY : upTo(at) - upTo(before) + 1
    for (const [i, size] of sizes.entries()) if (distance > size) misses[i] = (misses[i] ?? 0) + 1
    if (before !== undefined) add(before, -1)
    add(at, 1)
    last.set(key, at)
  }
  return misses.map((count) => count / keys.length)
}
