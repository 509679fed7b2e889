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
  readonly breaker: CircuitBreaker
  readonly #throttle: FailureThrottle
  readonly #presence: BackendPresence

  constructor({ clock, random, log, onBreaker }: BackendHealthOptions) {
    this.breaker = new CircuitBreaker(clock, random, onBreaker)
    this.#throttle = new FailureThrottle(clock, random)
    this.#presence = new BackendPresence(clock, log)
  }

  /** Whether the failures of late leave room for this call. A breaker that is not closed decides alone. */
  admits(key: string | undefined): boolean {
    return this.breaker.state !== 'closed' || this.#throttle.admits(key)
  }

  /** Learns how a call ended; `reason` is what it failed with. */
  settle({ permit, key, begunAt }: Attempt, outcome: CallOutcome, reason = ''): void {
    const counts = this.breaker.settle(permit, outcome, begunAt)
    if (counts && outcome !== 'neutral') this.#throttle.count(key, outcome === 'success')
    if (this.breaker.state !== 'closed') this.#presence.set('away', reason)
    else this.#presence.set(this.#throttle.isFailing ? 'failing' : 'well', reason)
  }
}
