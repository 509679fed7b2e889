// Hashes for tables in memory. What is hashed comes from clients, so the seed is one that nobody knows; and whoever finds an
// entry by its hash compares the bytes.

import { random64 } from '../host/clock'

let seed: u64 = 0

const PRIME_1: u64 = 0x9e3779b185ebca87
const PRIME_2: u64 = 0xc2b2ae3d27d4eb4f

function mixed(hash: u64): u64 {
  hash ^= hash >> 32
  hash *= PRIME_2
  return hash ^ (hash >> 29)
}

/** A hash of bytes: multiplication and rotation of words, in the manner of xxHash64. */
export function hashOf(from: usize, size: i32): u32 {
  if (seed === 0) seed = random64() | 1
  let hash: u64 = seed ^ (<u64>size * PRIME_1)
  let i = 0
  for (; i + 8 <= size; i += 8) hash = rotl(hash ^ (load<u64>(from + <usize>i) * PRIME_2), 31) * PRIME_1
  for (; i < size; i++) hash = rotl(hash ^ (<u64>load<u8>(from + <usize>i) * PRIME_1), 11) * PRIME_2
  return <u32>mixed(hash)
}
