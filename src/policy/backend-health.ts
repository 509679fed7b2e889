// What a guard has learnt of its backend from the calls it made: whether it may be called, and how that is told.

import type { Clock, Logger, Random } from '../kernel/ports.ts'
import { BackendPresence } from './backend-presence.ts'
import { type BreakerState, type CallOutcome, CircuitBreaker, type Permit } from './circuit-breaker.ts'
import { FailureThrottle } from './failure-throttle.ts'

/** One call that was made. */
export interface Attempt {
  readonly permit: Permit
  /** Stands for what is asked: see the failure throttle. */
  readonly key: string | undefined
  /** On the monotonic clock. */
  readonly begunAt: number
}

export interface BackendHealthOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly onBreaker: (state: BreakerState) => void
}

export class BackendHealth {
  readonly #clock: Clock
  readonly #breaker: CircuitBreaker
  readonly #throttle: FailureThrottle
  readonly #presence: BackendPresence

  constructor({ clock, random, log, onBreaker }: BackendHealthOptions) {
    this.#clock = clock
    this.#breaker = new CircuitBreaker(clock, random, onBreaker)
    this.#throttle = new FailureThrottle(clock, random)
    this.#presence = new BackendPresence(clock, log)
  }

  /** Whether the backend may be called now, as far as the breaker is concerned. */
  permits(key?: string): boolean {
    return this.#breaker.permits(this.#throttle.isProven(key))
  }

  /** Whether a single call is finding out whether the backend is well again. */
  get probing(): boolean {
    return this.#breaker.probing
  }

  /** Whether calls are being made without finding out whether the backend answers at all. */
  get trusting(): boolean {
    return this.#breaker.state === 'closed'
  }

  /** Begins a call, or `undefined` while the backend must be left alone. */
  acquire(key: string | undefined): Attempt | undefined {
    const permit = this.#breaker.acquire(this.#throttle.isProven(key))
    return permit && { permit, key, begunAt: this.#clock.monotonic() }
  }

  /** Whether the failures of late leave room for this call. A breaker that is not closed decides alone. */
  admits(key: string | undefined): boolean {
    return this.#breaker.state !== 'closed' || this.#throttle.admits(key)
  }

  /** Whether one more attempt is a burden that the backend can bear. */
  bearsRetry(key: string | undefined): boolean {
    return this.permits(key) && !this.#throttle.isFailing
  }

  /** What a silent call counts for, by what it asked. */
  weightOf(attempt: Attempt): number {
    return this.#breaker.weightOf(attempt.begunAt, this.#throttle.isProven(attempt.key))
  }

  /** Whether the backend answered anything since a call began. */
  answeredSince({ begunAt }: Attempt): boolean {
    return this.#breaker.answeredSince(begunAt)
  }

  /**
   * Learns how a call ended.
   * @param reason what it failed with
   * @param certainty of a silent call: see the breaker
   */
  settle({ permit, key, begunAt }: Attempt, outcome: CallOutcome, reason = '', certainty = 1): void {
    const isProven = this.#throttle.isProven(key)
    const counts = this.#breaker.settle(permit, { outcome, begunAt, isProven, certainty })
    if (counts && outcome !== 'neutral') this.#throttle.count(key, outcome === 'success', certainty)
    if (this.#breaker.state !== 'closed') this.#presence.set('away', reason)
    else this.#presence.set(this.#throttle.isFailing ? 'failing' : 'well', reason)
  }
}
