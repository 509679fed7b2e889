// One cache among those that share a memory: its bound, its curve and what a miss of it costs.

import type { CurveSampler } from './curve-sampler.ts'
import type { WatchedPart } from './controller.ts'
import type { MissCosts } from './miss-costs.ts'
import type { Resizable } from './mover.ts'

export interface TunedCache extends Resizable {
  /** Of its bytes, the share that entries take by themselves; the rest is what they are found by. */
  readonly density: number
}

export class TunedPart {
  readonly id: string
  readonly kind: 'answers' | 'verdicts'
  readonly cache: TunedCache
  readonly sampler: CurveSampler
  readonly costs: MissCosts
  readonly createdAt: number
  #seen = 0
  /** When it was asked last. */
  usedAt: number

  constructor(parts: Pick<TunedPart, 'id' | 'kind' | 'cache' | 'sampler' | 'costs' | 'createdAt'>) {
    this.id = parts.id
    this.kind = parts.kind
    this.cache = parts.cache
    this.sampler = parts.sampler
    this.costs = parts.costs
    this.createdAt = parts.createdAt
    this.usedAt = parts.createdAt
  }

  /** From now on it is counted what it misses under another bound. */
  moved(bytes: number): void {
    this.sampler.mark()
    this.sampler.resize(bytes, this.cache.density)
  }

  /** Notes whether it was asked since the last time, and what its entries take beside all that they are found by. */
  look(now: number, bytes: number): void {
    this.sampler.resize(bytes, this.cache.density)
    const { lookups } = this.sampler.counts
    if (lookups - this.#seen >= 1) this.usedAt = now
    this.#seen = lookups
  }

  reading(bytes: number, lookupsPerSecond: number, missCost: number): WatchedPart {
    const { sampler } = this
    const { since, isTried } = sampler
    return { id: this.id, bytes, curve: sampler.curve(), lookupsPerSecond, missCost, since, isTried }
  }
}
