// What a first-level cache would find with fewer answers, and with more: a sample of its look-ups, told to nodes, which say how many
// answers it should keep.

import type { LookupWatch } from '../cache/lookup-watch.ts'
import { CurveSampler } from '../cache/tuning/curve-sampler.ts'
import type { Clock } from '../kernel/ports.ts'
import { type CacheSample, SAMPLE_MULTIPLES } from '../wire/batch/cache-sample.ts'

/** Share of keys, and entries that the copy of a cache's own size has at least: all copies together have some three thousand of a sidecar of the usual size. */
const RATE = 0.02
const SAMPLED_ENTRIES = 200
const HALF_LIFE_MS = 600_000

/** What it is a sample of. */
interface Sampled {
  readonly size: number
  readonly bytes: number
}

export interface CacheSamplerOptions {
  readonly clock: Clock
  readonly maxEntries: number
  readonly maxBytes: number
}

export class CacheSampler implements LookupWatch {
  readonly #options: CacheSamplerOptions
  readonly #sampler: CurveSampler
  #fadedAt: number
  #entries: number

  constructor(options: CacheSamplerOptions) {
    const { clock, maxEntries } = options
    this.#options = options
    this.#entries = maxEntries
    this.#fadedAt = clock.monotonic()
    const now = () => clock.monotonic()
    const multiples = SAMPLE_MULTIPLES
    const rate = Math.min(1, Math.max(RATE, SAMPLED_ENTRIES / maxEntries))
    this.#sampler = new CurveSampler({ kind: 'answers', now, rate, bytes: maxEntries, multiples, replicas: 1 })
  }

  found(fingerprint: number): boolean {
    return this.#sampler.found(fingerprint)
  }

  // Each answer counts as one.
  sampled(fingerprint: number, _bytes: number, until: number): void {
    this.#sampler.sampled(fingerprint, 1, until)
  }

  stored(fingerprint: number, _bytes: number, until: number, isAsked: boolean, formerUntil: number | undefined): void {
    this.#sampler.stored(fingerprint, 1, until, isAsked, formerUntil)
  }

  cleared(): void {
    this.#sampler.cleared()
  }

  /** What is told now of a cache. */
  take({ size, bytes }: Sampled): CacheSample {
    this.#fit(size, bytes)
    const { points, lookups } = this.#sampler.curve()
    const hits = SAMPLE_MULTIPLES.map((multiple) => {
      const point = points.findLast((each) => each.bytes <= multiple * this.#entries)
      return point === undefined ? 0 : Math.round((1 - point.miss) * lookups)
    })
    const buckets = hits.map((count, i) => Math.max(0, count - (hits[i - 1] ?? 0)))
    return { entries: this.#entries, lookups: [...buckets, Math.max(0, Math.round(lookups) - (hits.at(-1) ?? 0))] }
  }

  /** Where bytes are what bounds it, so many answers as fit are its size. */
  #fit(size: number, bytes: number): void {
    const { clock, maxEntries, maxBytes } = this.#options
    const now = clock.monotonic()
    this.#sampler.fade(0.5 ** ((now - this.#fadedAt) / HALF_LIFE_MS))
    this.#fadedAt = now
    const fitting = size === 0 ? maxEntries : Math.floor((maxBytes * size) / bytes)
    const entries = Math.max(1, Math.min(maxEntries, fitting))
    // An answer more or less is no other size.
    if (Math.abs(entries - this.#entries) < 0.05 * this.#entries) return
    this.#entries = entries
    this.#sampler.resize(entries)
  }
}
