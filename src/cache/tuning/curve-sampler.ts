// The miss-ratio curve of a running cache: small copies of it, for a few sizes, that are asked for a sample of all keys alone
// (miniature simulation: Waldspurger, Saemundsson, Ahmad, Park, ATC 2017). A key is in the sample or is not, so a copy sees all
// that becomes of a key. Several samples that have no key in common tell how far one of them can be believed.

import type { LookupWatch } from '../lookup-watch.ts'
import type { Curve } from './curve.ts'
import { MINI_CACHES, type MiniCache, type MiniCacheKind } from './mini-cache.ts'

export interface CurveSamplerOptions {
  readonly kind: MiniCacheKind
  /** The monotonic clock, in ms. */
  readonly now: () => number
  /** Share of keys in all samples together, above 0 and at most 1. */
  readonly rate: number
  /** The size of the cache, in bytes. */
  readonly bytes: number
  /** The largest size that is looked at, whatever the multiples say; and looked at beside them. Unless given, there is none. */
  readonly mostBytes?: number
  /** Sizes that are looked at, as multiples of that of the cache, in order. */
  readonly multiples?: readonly number[]
  readonly replicas?: number
}

interface Replica {
  readonly caches: readonly MiniCache[]
  /** Misses of each cache. */
  readonly misses: Float64Array
}

export const CURVE_MULTIPLES: readonly number[] = [0.25, 0.5, 0.75, 1, 1.5, 2, 4]
/** A power of two: bits of the hash choose. */
const REPLICAS = 4
/** Misses of a sample up to which it is not much to go by how many they are. */
const CALM = 10
/** What an entry of a copy takes of memory. */
const MINI_ENTRY_BYTES = 150

export class CurveSampler implements LookupWatch {
  readonly #replicas: readonly Replica[]
  readonly #now: () => number
  readonly #multiples: readonly number[]
  readonly #mostBytes: number | undefined
  readonly #rate: number
  readonly #threshold: number
  /** Which of the sizes is that of the cache itself; −1: none. */
  readonly #own: number
  #sizes: readonly number[] = []
  #lookups = 0
  #missed = 0

  constructor({
    kind,
    now,
    rate,
    bytes,
    mostBytes,
    multiples = CURVE_MULTIPLES,
    replicas = REPLICAS,
  }: CurveSamplerOptions) {
    this.#now = now
    this.#multiples = multiples
    this.#mostBytes = mostBytes
    this.#rate = rate
    this.#threshold = Math.round(rate * 2 ** 30)
    this.#own = multiples.indexOf(1)
    const sizes = multiples.length + (mostBytes === undefined ? 0 : 1)
    this.#replicas = Array.from({ length: replicas }, () => ({
      caches: Array.from({ length: sizes }, MINI_CACHES[kind]),
      misses: new Float64Array(sizes),
    }))
    this.resize(bytes)
  }

  found(fingerprint: number): boolean {
    this.#lookups++
    return this.#samples(fingerprint)
  }

  sampled(fingerprint: number, bytes: number, until: number): void {
    const now = this.#now()
    const { caches, misses } = this.#replicaOf(fingerprint)
    for (let i = 0; i < caches.length; i++) {
      if (!(caches[i] as MiniCache).ask(fingerprint, bytes, until, now)) (misses[i] as number)++
    }
  }

  stored(fingerprint: number, bytes: number, until: number, formerUntil: number | undefined): void {
    if (formerUntil !== undefined && this.#now() < formerUntil) return this.#renew(fingerprint, until)
    this.#lookups++
    this.#missed++
    if (this.#samples(fingerprint)) this.sampled(fingerprint, bytes, until)
  }

  cleared(): void {
    for (const { caches } of this.#replicas) for (const cache of caches) cache.clear()
  }

  /** The cache has another size now: its copies follow, and keep what they can. */
  resize(bytes: number): void {
    const most = this.#mostBytes
    const sizes = this.#multiples.map((multiple) => bytes * multiple)
    this.#sizes = most === undefined ? sizes : [...sizes.map((size) => Math.min(size, most)), most]
    const scale = this.#rate / this.#replicas.length
    for (const { caches } of this.#replicas)
      for (const [i, cache] of caches.entries()) cache.resize((this.#sizes[i] ?? 0) * scale)
  }

  /** Lets what was counted until now count for less. */
  fade(factor: number): void {
    this.#lookups *= factor
    this.#missed *= factor
    for (const { misses } of this.#replicas) for (let i = 0; i < misses.length; i++) (misses[i] as number) *= factor
  }

  /** The curve as it is known now. */
  curve(): Curve {
    const all = this.#replicas[0]?.misses.length ?? 0
    const sum = (i: number) => this.#replicas.reduce((total, { misses }) => total + (misses[i] ?? 0), 0)
    const pooled = this.#shares(
      Float64Array.from({ length: all }, (_, i) => sum(i)),
      this.#rate,
    )
    const each = this.#replicas.map(({ misses }) => this.#shares(misses, this.#rate / this.#replicas.length))
    const points = this.#sizes.map((bytes, i) => {
      return { bytes, miss: pooled[i] ?? 1, replicas: each.map((shares) => shares[i] ?? 1) }
    })
    return { points: falling(points), lookups: this.#lookups }
  }

  /**
   * Shares of look-ups that caches of each size miss. What is missed is held against all look-ups, and not against those of the
   * sample: popular keys that are not in it would have been found, those in it count for too much (SHARDS-adj, FAST 2015). And the
   * cache itself tells how far the sample is off at its own size: as far, in proportion, as at others.
   */
  #shares(misses: Float64Array, rate: number): Float64Array {
    if (this.#lookups <= 0) return misses.map(() => 1)
    const sampled = misses[this.#own]
    const calm = CALM / rate
    const ratio = sampled === undefined ? 1 : (this.#missed + calm) / (sampled / rate + calm)
    return misses.map((count) => Math.min(1, (count / rate / this.#lookups) * ratio))
  }

  /** What the copies take of memory, in bytes, roughly. */
  get bytes(): number {
    let entries = 0
    for (const { caches } of this.#replicas) for (const { size } of caches) entries += size
    return entries * MINI_ENTRY_BYTES
  }

  /** Of most keys nothing is to be done. */
  #samples(fingerprint: number): boolean {
    return spread(fingerprint) >>> 2 < this.#threshold
  }

  /** An entry has another life although nobody asked for it. */
  #renew(fingerprint: number, until: number): void {
    if (!this.#samples(fingerprint)) return
    for (const cache of this.#replicaOf(fingerprint).caches) cache.renew(fingerprint, until)
  }

  #replicaOf(fingerprint: number): Replica {
    return this.#replicas[spread(fingerprint) & (this.#replicas.length - 1)] as Replica
  }
}

/** Of the size that another one is clipped to there is one point; and a larger cache that misses more is chance. */
function falling(points: readonly Curve['points'][number][]): Curve['points'] {
  const kept: Curve['points'][number][] = []
  for (const point of points) {
    const last = kept.at(-1)
    if (last !== undefined && point.bytes <= last.bytes) continue
    kept.push(last !== undefined && point.miss > last.miss ? { ...point, miss: last.miss } : point)
  }
  return kept
}

/** A hash of a hash: what others have chosen keys by (a route, a place among ghosts) must not choose the sample. */
function spread(fingerprint: number): number {
  let hash = Math.imul(fingerprint ^ 0x5bd1e995, 0x2c1b3c6d)
  hash = Math.imul(hash ^ (hash >>> 15), 0x297a2d39)
  return (hash ^ (hash >>> 13)) >>> 0
}
