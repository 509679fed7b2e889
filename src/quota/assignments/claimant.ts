// One proxy at one limit: how much it needs, and what it was assigned.

import type { BucketAction, BucketId, BucketUsage, Strategy } from '../../kernel/quota-buckets.ts'
import type { Claim } from './shares.ts'

/** Assignments last for so many of the proxy's intervals between reports. */
const INTERVALS = 3
const SHORTEST_TTL_SECONDS = 5
const LONGEST_TTL_SECONDS = 300
/** Until it is known how often it reports: a new bucket is reported at once, and then with all others. */
const FIRST_TTL_SECONDS = 60
const FIRST_REPORTS = 2
/** An assignment covers what is asked for in so many intervals. */
const INTERVALS_AHEAD = 2
const SHORTEST_INTERVAL_MS = 100
const LONGEST_INTERVAL_MS = 300_000
/** What a proxy can have ahead of any demand: so much, or what the limit lets pass in `START_MS`. */
const START_REQUESTS = 10
const START_MS = 5_000
/** A share of a rate leaves room for demand to grow. */
const RATE_HEADROOM = 1.25
/** What was assigned may be on its way for so long. */
const SLACK_MS = 1_000
/** A bucket without a request for so long is forgotten. */
const IDLE_MS = 60_000

/** Of a limit: its amount, and its window in ms; a rate where the window is too short to be counted by reports. */
export interface Measure {
  readonly amount: number
  readonly windowMs: number
  readonly isRate: boolean
}

/** Times are of the monotonic clock, in ms. */
export class Claimant {
  readonly bucket: BucketId
  readonly #send: (action: BucketAction) => void
  /** What it may let pass and has not reported yet; of a rate, that rate. */
  held = 0
  /** Its stream is closed: it keeps what it has until that expires. */
  isGone = false
  /** How many requests it was assigned, where that still holds. */
  #sent: number | undefined
  #sentUntil = Number.NEGATIVE_INFINITY
  #heldUntil = Number.NEGATIVE_INFINITY
  #intervalMs: number | undefined
  #reportedAt: number | undefined
  #reports = 0
  #usedAt: number
  /** Requests per ms. */
  #demand = 0

  constructor(bucket: BucketId, send: (action: BucketAction) => void, now: number) {
    this.bucket = bucket
    this.#send = send
    this.#usedAt = now
  }

  /** Notes what it reports. @returns how much of it was let pass without having been assigned */
  reported({ elapsedMs, allowed, denied }: BucketUsage, now: number): number {
    const passed = this.#reportedAt === undefined ? elapsedMs : now - this.#reportedAt
    this.#reportedAt = now
    this.#reports++
    if (allowed + denied > 0) this.#usedAt = now
    if (passed > 0) {
      const interval = Math.min(LONGEST_INTERVAL_MS, Math.max(SHORTEST_INTERVAL_MS, passed))
      const demand = (allowed + denied) / interval
      // Up at once, and down by halves: too little hurts more than too much.
      this.#intervalMs = Math.max(interval, (interval + (this.#intervalMs ?? interval)) / 2)
      this.#demand = Math.max(demand, (demand + this.#demand) / 2)
    }
    const covered = Math.min(this.held, allowed)
    return allowed - covered
  }

  /** So much of what it holds has been used. */
  spend(amount: number): void {
    this.held = Math.max(0, this.held - amount)
  }

  /** What it asks for. */
  claim({ amount, windowMs, isRate }: Measure): Claim {
    const start = isRate
      ? amount
      : Math.min(amount, Math.max(START_REQUESTS, Math.ceil((amount / windowMs) * START_MS)))
    if (this.#intervalMs === undefined) return { weight: 1, wanted: start, spare: 0 }
    const ms = isRate ? windowMs * RATE_HEADROOM : this.#intervalMs * INTERVALS_AHEAD
    const wanted = Math.min(amount, Math.ceil(this.#demand * ms))
    return { weight: 1, wanted, spare: Math.max(0, start - wanted) }
  }

  /** For how long it is told that an assignment lasts. */
  get ttlSeconds(): number {
    if (this.#intervalMs === undefined || this.#reports <= FIRST_REPORTS) return FIRST_TTL_SECONDS
    const seconds = Math.ceil((this.#intervalMs * INTERVALS) / 1_000)
    return Math.min(LONGEST_TTL_SECONDS, Math.max(SHORTEST_TTL_SECONDS, seconds))
  }

  /** Forgets an assignment that has run out. @returns whether it holds nothing any more */
  expire(now: number): boolean {
    if (now >= this.#sentUntil) this.#sent = undefined
    if (now < this.#heldUntil) return false
    this.held = 0
    return true
  }

  /** Whether nothing has been asked of its bucket for long, or nothing heard of it. */
  isIdle(now: number): boolean {
    const ms = Math.max(IDLE_MS, (this.#intervalMs ?? 0) * INTERVALS)
    return now - this.#usedAt > ms || (this.#reportedAt !== undefined && now - this.#reportedAt > 2 * ms)
  }

  /** May let pass so many requests, or so many a second. What is nearly that is left as it is. */
  assign(share: number, isRate: boolean, now: number): Strategy['kind'] {
    if (share === 0) return this.#tell({ kind: 'deny' }, 0, undefined, now)
    if (isRate) return this.#tell({ kind: 'rate', perSecond: share }, share, undefined, now)
    if (this.#sent !== undefined && this.held <= share && this.held * 2 >= share) return this.#goOn(this.#sent, now)
    return this.#tell({ kind: 'requests', requests: share, isNew: true }, share, share, now)
  }

  /** Goes on with what it has, where that is known. */
  extend(now: number): boolean {
    if (this.#sent === undefined) return false
    this.#goOn(this.#sent, now)
    return true
  }

  allow(now: number): void {
    this.#tell({ kind: 'allow' }, 0, undefined, now)
  }

  abandon(): void {
    if (!this.isGone) this.#send({ bucket: this.bucket, kind: 'abandon' })
  }

  #goOn(requests: number, now: number): 'requests' {
    this.#tell({ kind: 'requests', requests, isNew: false }, this.held, requests, now)
    return 'requests'
  }

  #tell(strategy: Strategy, held: number, sent: number | undefined, now: number): Strategy['kind'] {
    const { ttlSeconds } = this
    this.held = held
    this.#sent = sent
    this.#sentUntil = now + ttlSeconds * 1_000
    this.#heldUntil = this.#sentUntil + SLACK_MS
    if (!this.isGone) this.#send({ bucket: this.bucket, kind: 'assign', strategy, ttlSeconds })
    return strategy.kind
  }
}
