// Stops calling a backend that fails, and finds out with single probes when it is well again.

import type { Clock, Random } from '../kernel/ports.ts'

export type BreakerState = 'closed' | 'half-open' | 'open'

/** How a permitted call ended. `neutral`: it says nothing about the backend (cancelled by the caller). */
export type CallOutcome = 'success' | 'failure' | 'neutral'

/** The right to make one call; hand it back with the outcome. */
export interface Permit {
  readonly generation: number
}

const BUCKETS = 10
const BUCKET_MS = 1_000
const LEAST_CALLS = 20
const FAILURE_SHARE = 0.5
const CONSECUTIVE = 5
// Short, because what is open after the backend has come back is an outage of our own making; a probe every second or
// two burdens nobody.
const FIRST_OPEN_MS = 500
const LONGEST_OPEN_MS = 2_000

/**
 * Opens after 5 failures in a row, or when half of at least 20 calls within 10 s failed; stays open for half a second,
 * doubling up to 2 s with every probe that fails, less up to half of it as jitter. While half open it lets one call
 * through.
 */
export class CircuitBreaker {
  readonly #clock: Clock
  readonly #random: Random
  readonly #onChange: (state: BreakerState) => void
  readonly #calls = new Float64Array(BUCKETS)
  readonly #failures = new Float64Array(BUCKETS)
  #bucket = 0
  #consecutive = 0
  #state: BreakerState = 'closed'
  #openUntil = 0
  #openings = 0
  #probing = false
  // Calls that began before the last change of state have no say in the present one.
  #generation = 0
  #permit: Permit = { generation: 0 }

  constructor(clock: Clock, random: Random, onChange: (state: BreakerState) => void = () => undefined) {
    this.#clock = clock
    this.#random = random
    this.#onChange = onChange
  }

  get state(): BreakerState {
    return this.#state
  }

  /** Whether `acquire` would give a permit now. Changes nothing. */
  permits(): boolean {
    if (this.#state === 'closed') return true
    return this.#state === 'open' ? this.#clock.monotonic() >= this.#openUntil : !this.#probing
  }

  /** Whether a single call is finding out whether the backend is well again. */
  get probing(): boolean {
    return this.#probing
  }

  /** A permit for one call, or `undefined` while the backend must be left alone. */
  acquire(): Permit | undefined {
    if (this.#state === 'closed') return this.#permit
    if (!this.permits()) return undefined
    if (this.#state === 'open') this.#change('half-open')
    this.#probing = true
    return this.#permit
  }

  /** Hands a permit back. */
  settle(permit: Permit, outcome: CallOutcome): void {
    if (permit.generation !== this.#generation) return
    if (this.#state === 'half-open') {
      this.#probing = false
      if (outcome === 'success') this.#close()
      else if (outcome === 'failure') this.#open()
      return
    }
    if (outcome === 'neutral') return
    this.#count(outcome === 'failure')
    if (this.#consecutive >= CONSECUTIVE || this.#failsTooOften()) this.#open()
  }

  #count(failed: boolean): void {
    const now = Math.floor(this.#clock.monotonic() / BUCKET_MS)
    for (let missed = Math.min(BUCKETS, now - this.#bucket); missed > 0; missed--) {
      const index = (now - missed + 1) % BUCKETS
      this.#calls[index] = 0
      this.#failures[index] = 0
    }
    this.#bucket = now
    const index = now % BUCKETS
    this.#calls[index] = (this.#calls[index] ?? 0) + 1
    if (failed) this.#failures[index] = (this.#failures[index] ?? 0) + 1
    this.#consecutive = failed ? this.#consecutive + 1 : 0
  }

  #failsTooOften(): boolean {
    let calls = 0
    let failures = 0
    for (let i = 0; i < BUCKETS; i++) {
      calls += this.#calls[i] ?? 0
      failures += this.#failures[i] ?? 0
    }
    return calls >= LEAST_CALLS && failures >= calls * FAILURE_SHARE
  }

  #open(): void {
    const longest = Math.min(LONGEST_OPEN_MS, FIRST_OPEN_MS * 2 ** Math.min(this.#openings, 16))
    this.#openings += 1
    this.#openUntil = this.#clock.monotonic() + longest * (0.5 + 0.5 * this.#random())
    this.#change('open')
  }

  #close(): void {
    this.#openings = 0
    this.#calls.fill(0)
    this.#failures.fill(0)
    this.#change('closed')
  }

  #change(state: BreakerState): void {
    this.#state = state
    this.#consecutive = 0
    this.#probing = false
    this.#generation += 1
    this.#permit = { generation: this.#generation }
    this.#onChange(state)
  }
}
