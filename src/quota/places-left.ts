// Places in flight that are given back to Redis, at once or when it is there again.

import type { PlaceLeft } from '../adapter-kit/limits.ts'
import type { RedisLink } from '../redis/connection.ts'
import type { QuotaMetrics } from './quota-metrics.ts'
import type { RedisLimits } from './redis-limits.ts'

/** Places that are kept while Redis is away; further ones expire. */
const MOST_KEPT = 10_000

export interface PlacesLeftOptions {
  readonly shared: Pick<RedisLimits, 'leave'>
  readonly link: Pick<RedisLink, 'state'>
  readonly metrics: QuotaMetrics
}

export class PlacesLeft {
  readonly #options: PlacesLeftOptions
  #kept: PlaceLeft[] = []

  constructor(options: PlacesLeftOptions) {
    this.#options = options
  }

  /** How many were there, as far as Redis says so now. */
  async leave(places: readonly PlaceLeft[]): Promise<number> {
    const { shared, link, metrics } = this.#options
    if (link.state() === 'down') {
      this.#keep(places)
      return 0
    }
    metrics.called('leave')
    try {
      return await shared.leave(places)
    } catch (error) {
      // Whether it has heard of them is not known: to leave twice changes nothing.
      this.#keep(places)
      throw error
    }
  }

  /** Redis is there again. */
  async settle(): Promise<void> {
    const kept = this.#kept
    this.#kept = []
    if (kept.length > 0) await this.leave(kept).catch(() => undefined)
  }

  #keep(places: readonly PlaceLeft[]): void {
    this.#kept.push(...places.slice(0, MOST_KEPT - this.#kept.length))
  }
}
