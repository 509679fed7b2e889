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

export interface Counts {
  readonly lookups: number
  readonly missed: number
}

export interface Since extends Counts {
  /** Misses that the copies of the cache's own size have counted. */
  readonly sampled: number
  readonly curve: Curve
}

interface Replica {
  readonly caches: readonly MiniCache[]
  /** Misses of each cache, those of long ago in part, and those since the mark. */
  readonly misses: Float64Array
  readonly marked: Float64Array
}

export const CURVE_MULTIPLES: readonly number[] = [0.25, 0.5, 0.75, 0.9, 1, 1.15, 1.6, 4]
/** A power of two: bits of the hash choose. */
const REPLICAS = 4
/** On the monotonic clock, what is over. */
const ENDED = 0
/** Misses of a sample up to which it is not much to go by how many they are. */
const CALM = 10
/** What an entry of a copy takes of memory, and what a copy takes that is empty (`test/cache/tuning/sample-memory.test.ts`). */
const MINI_ENTRY_BYTES = 165
const MINI_BYTES = { answers: 600, verdicts: 1_500 } as const

export class CurveSampler implements LookupWatch {
  /** What the copies take of memory with nothing in them, in bytes, roughly. */
  readonly emptyBytes: number
  readonly #replicas: readonly Replica[]
  readonly #now: () => number
  readonly #multiples: readonly number[]
  readonly #mostBytes: number | undefined
  #rate: number
  #threshold: number
  /** Which of the sizes is that of the cache itself; −1: none. */
  readonly #own: number
  #sizes: readonly number[] = []
  #density = 1
  #lookups = 0
  #missed = 0
  /** What has faded of these. */
  #mark: Counts = { lookups: 0, missed: 0 }
  #allLookups = 0
  #allMissed = 0

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
      marked: new Float64Array(sizes),
    }))
    this.emptyBytes = replicas * sizes * MINI_BYTES[kind]
    this.resize(bytes)
  }

  found(fingerprint: number): boolean {
    this.#lookups++
    return this.#samples(fingerprint)
  }

  sampled(fingerprint: number, bytes: number, until: number): void {
    const now = this.#now()
    const { caches, misses, marked } = this.#replicaOf(fingerprint)
    for (let i = 0; i < caches.length; i++) {
      if ((caches[i] as MiniCache).ask(fingerprint, bytes, until, now)) continue
      ;(misses[i] as number)++
      ;(marked[i] as number)++
    }
  }

  stored(fingerprint: number, bytes: number, until: number, isAsked: boolean, formerUntil: number | undefined): void {
    if (isAsked) {
      this.#lookups++
      this.#missed++
    }
    if (!this.#samples(fingerprint)) return
    if (!isAsked) return this.#renew(fingerprint, bytes, until)
    // What was of no use before its time would have been of none at any size.
    if (formerUntil !== undefined && this.#now() < formerUntil) this.#renew(fingerprint, bytes, ENDED)
    this.sampled(fingerprint, bytes, until)
  }

  cleared(): void {
    for (const { caches } of this.#replicas) for (const cache of caches) cache.clear()
  }

  /**
   * The cache has another size now: its copies follow, and keep what they can.
   * @param density share of the size that entries take by themselves
   */
  resize(bytes: number, density = 1): void {
    this.#density = density
    const most = this.#mostBytes
    const sizes = this.#multiples.map((multiple) => bytes * multiple)
    this.#sizes = most === undefined ? sizes : [...sizes.map((size) => Math.min(size, most)), most]
    this.#setSizes()
  }

  #setSizes(): void {
    const scale = (this.#density * this.#rate) / this.#replicas.length
    for (const { caches } of this.#replicas)
      for (const [i, cache] of caches.entries()) cache.resize((this.#sizes[i] ?? 0) * scale)
  }

  /** Lets what was counted until now count for less. */
  fade(factor: number): void {
    this.#allLookups += this.#lookups * (1 - factor)
    this.#allMissed += this.#missed * (1 - factor)
    this.#lookups *= factor
    this.#missed *= factor
    for (const { misses } of this.#replicas) for (let i = 0; i < misses.length; i++) (misses[i] as number) *= factor
  }

  /** Takes half as many keys from now on, and begins anew. */
  thin(): void {
    this.#rate /= 2
    this.#threshold = Math.round(this.#rate * 2 ** 30)
    this.cleared()
    this.fade(0)
    this.#setSizes()
  }

  /** The curve as it is known now. */
  curve(): Curve {
    return this.#curveOf(this.#lookups, this.#missed, ({ misses }) => misses)
  }

  /** Whether copies of the largest size have made room: before, nothing says that what was seen once does not come again. */
  get isTried(): boolean {
    return this.#replicas.every(({ caches }) => caches.at(-1)?.hasMadeRoom === true)
  }

  /** What the cache itself misses, as a share of look-ups: no guess. */
  get missRatio(): number {
    return this.#lookups <= 0 ? 1 : this.#missed / this.#lookups
  }

  /** From here on, what `since` tells. */
  mark(): void {
    this.#mark = this.counts
    for (const { marked } of this.#replicas) marked.fill(0)
  }

  /** Look-ups since the mark, those that the cache missed, and the curve of these alone: as the copies have it, and the cache has no say. */
  get since(): Since {
    const { lookups, missed } = this.counts
    const counted = lookups - this.#mark.lookups
    return {
      lookups: counted,
      missed: missed - this.#mark.missed,
      sampled: this.#replicas.reduce((total, { marked }) => total + (marked[this.#own] ?? 0), 0),
      curve: this.#curveOf(counted, undefined, ({ marked }) => marked),
    }
  }

  #curveOf(lookups: number, missed: number | undefined, of: (replica: Replica) => Float64Array): Curve {
    const sum = (i: number) => this.#replicas.reduce((total, replica) => total + (of(replica)[i] ?? 0), 0)
    const sums = Float64Array.from(this.#sizes, (_, i) => sum(i))
    const shares = (misses: Float64Array, rate: number) => {
      const ratio = missed === undefined ? 1 : this.#ratioOf(misses, missed, rate)
      return { ratio, misses: sharesOf(misses, lookups * rate, ratio) }
    }
    const pooled = shares(sums, this.#rate)
    const each = this.#replicas.map((replica) => shares(of(replica), this.#rate / this.#replicas.length).misses)
    const points = this.#sizes.map((bytes, i) => {
      return { bytes, miss: pooled.misses[i] ?? 1, replicas: each.map((misses) => misses[i] ?? 1) }
    })
    return { points: falling(points), ratio: pooled.ratio, lookups }
  }

  /** The cache itself tells how far a sample is off at its own size: as far, in proportion, as at others. */
  #ratioOf(misses: Float64Array, missed: number, rate: number): number {
    const sampled = misses[this.#own]
    const calm = CALM / rate
    return sampled === undefined ? 1 : (missed + calm) / (sampled / rate + calm)
  }

  /** Look-ups since the cache began, and those that it missed; what is long ago counts as much. */
  get counts(): Counts {
    return { lookups: this.#allLookups + this.#lookups, missed: this.#allMissed + this.#missed }
  }

  /** What the copies take of memory for what they hold, in bytes, roughly. */
  get entryBytes(): number {
    let entries = 0
    for (const { caches } of this.#replicas) for (const { size } of caches) entries += size
    return entries * MINI_ENTRY_BYTES
  }

  /** Of most keys nothing is to be done. */
  #samples(fingerprint: number): boolean {
    return spread(fingerprint) >>> 2 < this.#threshold
  }

  /** An entry has another life although nobody asked for it. */
  #renew(fingerprint: number, bytes: number, until: number): void {
    for (const cache of this.#replicaOf(fingerprint).caches) cache.renew(fingerprint, bytes, until)
  }

  #replicaOf(fingerprint: number): Replica {
    return this.#replicas[spread(fingerprint) & (this.#replicas.length - 1)] as Replica
  }
}

/**
 * Shares of look-ups that caches of each size miss. What is missed is held against all that were expected, and not against those of
 * the sample: popular keys that are not in it would have been found, those in it count for too much (SHARDS-adj, FAST 2015).
 */
function sharesOf(misses: Float64Array, expected: number, ratio: number): Float64Array {
  return misses.map((count) => (expected <= 0 ? 1 : Math.min(1, (count / expected) * ratio)))
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
