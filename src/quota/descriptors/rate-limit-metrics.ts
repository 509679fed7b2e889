// What is counted of rate limits by descriptors.

import {
  RATE_LIMIT_HITS_TOTAL,
  RATE_LIMIT_NEAR_HITS_TOTAL,
  RATE_LIMIT_UNKNOWN_DOMAINS_TOTAL,
} from '../../kernel/metrics/quotas.ts'
import type { Counter, Meter } from '../../kernel/ports.ts'

/** Beyond this share of the limit, hits are near it; as envoyproxy/ratelimit has it. */
const NEAR_RATIO = 0.8

/** What became of the hits of one descriptor. */
export interface CountedHits {
  readonly domain: string
  /** As metrics call its limit. */
  readonly descriptor: string
  readonly hits: number
  readonly most: number
  /** What is counted in the window with them. */
  readonly after: number
  readonly isOver: boolean
  readonly isShadow: boolean
}

export interface ReportedHits extends Pick<CountedHits, 'domain' | 'descriptor'> {
  readonly within: number
  readonly over: number
}

export class RateLimitMetrics {
  readonly #hits: (labels: {
    readonly domain: string
    readonly descriptor: string
    readonly outcome: 'within' | 'over' | 'shadow'
  }) => Counter
  readonly #near: (labels: { readonly domain: string; readonly descriptor: string }) => Counter
  readonly #unknown: Counter

  constructor(meter: Meter) {
    this.#hits = meter.counter(RATE_LIMIT_HITS_TOTAL)
    this.#near = meter.counter(RATE_LIMIT_NEAR_HITS_TOTAL)
    this.#unknown = meter.counter(RATE_LIMIT_UNKNOWN_DOMAINS_TOTAL)()
  }

  /** A call for a domain that is not there. */
  unknownDomain(): void {
    this.#unknown.add()
  }

  /** Of hits that come together, those that the limit still had room for are within it, although the request is refused. */
  counted({ domain, descriptor, hits, most, after, isOver, isShadow }: CountedHits): void {
    if (hits === 0) return
    const beyond = Math.min(hits, Math.max(0, after - most))
    const over = !isOver ? 0 : beyond === 0 ? hits : beyond
    if (over > 0) this.#hits({ domain, descriptor, outcome: isShadow ? 'shadow' : 'over' }).add(over)
    const within = hits - over
    if (within === 0) return
    this.#hits({ domain, descriptor, outcome: 'within' }).add(within)
    const near = Math.min(within, Math.min(after, most) - Math.floor(most * NEAR_RATIO))
    if (near > 0) this.#near({ domain, descriptor }).add(near)
  }

  /** What a proxy did by itself, as it says. */
  reported({ domain, descriptor, within, over }: ReportedHits): void {
    if (within > 0) this.#hits({ domain, descriptor, outcome: 'within' }).add(within)
    if (over > 0) this.#hits({ domain, descriptor, outcome: 'over' }).add(over)
  }
}
