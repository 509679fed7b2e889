// Traces of keys, as caches see them: numbers, the same for the same seed.

import { seededRandom } from '../random.ts'
import { ZipfSampler } from '../zipf.ts'

export interface Trace {
  readonly name: string
  /** Keys in the order in which they are asked for. */
  readonly keys: Int32Array
}

const KEYS = 100_000

/** The traces of the bench, each of `length` requests. */
export function traces(length: number, seed: number): readonly Trace[] {
  return [
    { name: 'zipf 0.8', keys: zipf(length, 0.8, seed) },
    { name: 'zipf 1.0', keys: zipf(length, 1, seed) },
    { name: 'zipf 1.2', keys: zipf(length, 1.2, seed) },
    { name: 'scans', keys: scans(length, seed) },
    { name: 'loop', keys: loop(length) },
    { name: 'shifting', keys: shifting(length, seed) },
    { name: 'one-hit', keys: oneHits(length, seed) },
  ]
}

/** Popular keys by Zipf's law; ranks are spread over the numbers, so that neighbours have nothing in common. */
export function zipf(length: number, exponent: number, seed: number, keys = KEYS): Int32Array {
  const sampler = new ZipfSampler(keys, exponent, seededRandom(seed))
  return Int32Array.from({ length }, () => sampler.next())
}

/** Popular keys, and now and then a run through ten thousand others. */
function scans(length: number, seed: number): Int32Array {
  const popular = zipf(length, 1, seed)
  const run = 10_000
  let next = KEYS
  for (let at = 50_000; at + run < length; at += 50_000) for (let i = 0; i < run; i++) popular[at + i] = next++
  return popular
}

/** The same keys again and again, in order: half of the requests; the other half are popular ones. */
function loop(length: number): Int32Array {
  const popular = zipf(length, 1, 7)
  return popular.map((key, at) => (at % 2 === 0 ? key : KEYS + ((at >>> 1) % 15_000)))
}

/** Popularity wanders: every hundred requests the least popular key becomes the most popular one. */
function shifting(length: number, seed: number): Int32Array {
  const ranks = zipf(length, 1, seed)
  return ranks.map((rank, at) => (rank + KEYS - (Math.floor(at / 100) % KEYS)) % KEYS)
}

/** Three of ten requests ask for what nobody asks for again. */
function oneHits(length: number, seed: number): Int32Array {
  const random = seededRandom(seed + 1)
  let next = KEYS
  return zipf(length, 1, seed).map((key) => (random() < 0.3 ? next++ : key))
}
