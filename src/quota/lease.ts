// What a node knows of a counter, and what it has taken of it ahead of need so that most requests ask nobody.
//
// The amount follows the measured demand: what is asked for in `AHEAD_MS`, renewed when three quarters of it are gone. Source of the shape:
// the prefetch of Mixer's client (quota_prefetch.cc), with shorter times, an end to each lease, and no spending of what has
// not been granted.

import type { WindowOutcome } from './charge.ts'

/** For how long demand is taken ahead. */
const AHEAD_MS = 100
/** What has not been used for so long is given back. */
const VALID_MS = 1_000
/** Over what time the demand is averaged. */
const AVERAGE_MS = 1_000
/** A refusal is remembered at most for so long: somebody may give back. */
export const CLOSED_MS = 100

/** What is refused for a while, without asking. */
interface Closed {
  readonly until: number
  /** This much and more. */
  readonly amount: number
  /** Under this limit: one that has been raised since is another one. */
  readonly limit: number
  readonly retryAt: number
}

/** Times are of the monotonic clock, in ms. */
export class Lease {
  #amount = 0
  #validUntil = 0
  #demand = 0
  #demandAt = 0
  #closed: Closed | undefined
  #left = 0
  #limit = 0
  #resetAt = 0
  #window = 0
  /** While more is being asked for; it never rejects. */
  refill: Promise<void> | undefined

  /** Of the window in which what is held was charged. */
  get window(): number {
    return this.#window
  }

  /** Notes what is asked for. */
  wanted(amount: number, now: number): void {
    this.#demand = this.#demand * Math.exp((this.#demandAt - now) / AVERAGE_MS) + amount
    this.#demandAt = now
  }

  /** What can be spent. */
  held(now: number): number {
    return now < this.#validUntil ? this.#amount : 0
  }

  spend(amount: number): void {
    this.#amount -= amount
  }

  /** How much to hold, at most `most`: what is asked for in a while at the present demand. */
  ahead(most: number): number {
    return Math.max(0, Math.min(most, Math.ceil((this.#demand / AVERAGE_MS) * AHEAD_MS)))
  }

  /** Whether it is time to ask for more, to hold `ahead`. */
  isLow(ahead: number, now: number): boolean {
    const isOpen = this.#closed === undefined || now >= this.#closed.until
    return this.refill === undefined && isOpen && this.held(now) < ahead / 4
  }

  /** What is left and when it resets, as it was heard last; what is held here is not used yet. */
  standing(now: number): { readonly left: number; readonly resetMs: number } {
    return { left: this.#left + this.held(now), resetMs: Math.max(0, Math.ceil(this.#resetAt - now)) }
  }

  /** Milliseconds for which so much is refused, as it was a moment ago; `undefined` where it is not. */
  closedMs(amount: number, limit: number, now: number): number | undefined {
    const closed = this.#closed
    if (closed === undefined || now >= closed.until || amount < closed.amount || limit !== closed.limit)
      return undefined
    return Math.max(1, Math.ceil(closed.retryAt - now))
  }

  /** The share (0 to 1) of the limit that all nodes had used, as far as that still counts. */
  usedShare(now: number): number {
    if (now >= this.#resetAt || this.#limit === 0) return 0
    return Math.min(1, Math.max(0, 1 - this.#left / this.#limit))
  }

  /** @param askedAt when Redis was asked: what was granted counts from then on, since nothing is known of the way */
  heard(outcome: WindowOutcome, limit: number, askedAt: number): void {
    this.#left = outcome.left
    this.#limit = limit
    this.#resetAt = askedAt + outcome.resetMs
  }

  /** So much of what Redis granted is held now. */
  took(amount: number, { window, resetMs }: WindowOutcome, askedAt: number): void {
    this.#amount = this.held(askedAt) + amount
    this.#window = window
    // What was charged in a window must not be spent in the next one.
    this.#validUntil = askedAt + (window === 0 ? VALID_MS : Math.min(VALID_MS, resetMs))
  }

  /** So much, and more, was refused. */
  refused(amount: number, limit: number, retryAfterMs: number, now: number): void {
    this.#closed = { until: now + Math.min(CLOSED_MS, retryAfterMs), amount, limit, retryAt: now + retryAfterMs }
  }

  /** What is held and was not used in its time; it is nobody's from now on. */
  expired(now: number): number {
    return now < this.#validUntil ? 0 : this.drain()
  }

  drain(): number {
    const amount = this.#amount
    this.#amount = 0
    return amount
  }
}
