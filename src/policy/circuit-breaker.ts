// Stops calling a backend that gives no answers, and finds out with single probes when it is well again. A backend that
// answers with errors is alive: how much of it is asked is decided by the failure throttle.

import type { Clock, Random } from '../kernel/ports.ts'

export type BreakerState = 'closed' | 'half-open' | 'open'

/**
 * How a permitted call ended. `error`: the backend answered, with an error. `silent`: it gave no answer. `neutral`: the
 * call says nothing about the backend (given up by the adapter, or not listened to).
 */
export type CallOutcome = 'success' | 'error' | 'silent' | 'neutral'

/** What became of a call. */
export interface EndedCall {
  readonly outcome: CallOutcome
  /** On the monotonic clock. */
  readonly begunAt: number
  /** Whether the backend had answered before what was asked. Default true. */
  readonly isProven?: boolean
  /** How sure it is that a silent call would have got no answer, 0 to 1: a hurried caller does not wait long. Default 1. */
  readonly certainty?: number
}

/** The right to make one call; hand it back with the outcome. */
export interface Permit {
  readonly generation: number
}

const SHORTEST_RUN = 5
const LONGEST_RUN = 100
/** A run of silent calls that is less likely than this, at the share of silent calls so far, is no coincidence. */
const COINCIDENCE = 1e-6
/** What a silent call counts for that asked something unproven: it may be what the backend hangs on. */
const UNPROVEN = 0.25
/** Where nothing at all was answered for this long, it does not matter what was asked. */
const SILENCE_MS = 5_000
/** The share of silent calls is that of about the last hundred. */
const WEIGHT = 0.01
// Short, because what is open after the backend has come back is an outage of our own making; a probe every second or
// two burdens nobody.
const FIRST_OPEN_MS = 500
const LONGEST_OPEN_MS = 2_000

/**
 * Opens after silent calls in a row: 5, or as many more as it takes where the backend often leaves single calls without
 * an answer, for callers can choose what it hangs on. A silent call counts where nothing was answered since it began, and
 * for a quarter where it asked something that was never answered before. Stays open for half a second, doubling up to 2 s
 * with every probe that fails, less up to half of it as jitter for probes that ask something proven. While half open it
 * lets one call through.
 */
export class CircuitBreaker {
  readonly #clock: Clock
  readonly #random: Random
  readonly #onChange: (state: BreakerState) => void
  #silentShare = 0
  #run = 0
  #runThatOpens = SHORTEST_RUN
  #answeredAt = Number.NEGATIVE_INFINITY
  #state: BreakerState = 'closed'
  #openUntil = 0
  #openUntilForUnproven = 0
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

  /**
   * Whether `acquire` would give a permit now. Changes nothing.
   * @param isProven whether the backend has answered before what is to be asked
   */
  permits(isProven = true): boolean {
    if (this.#state === 'closed') return true
    if (this.#state === 'half-open') return !this.#probing
    return this.#clock.monotonic() >= (isProven ? this.#openUntil : this.#openUntilForUnproven)
  }

  /** Whether a single call is finding out whether the backend is well again. */
  get probing(): boolean {
    return this.#probing
  }

  /** Whether the backend answered anything after this time on the monotonic clock. */
  answeredSince(monotonic: number): boolean {
    return this.#answeredAt > monotonic
  }

  /** What a silent call counts for that began then. */
  weightOf(begunAt: number, isProven: boolean): number {
    return isProven || !this.answeredSince(begunAt - SILENCE_MS) ? 1 : UNPROVEN
  }

  /** A permit for one call, or `undefined` while the backend must be left alone. */
  acquire(isProven = true): Permit | undefined {
    if (this.#state === 'closed') return this.#permit
    if (!this.permits(isProven)) return undefined
    if (this.#state === 'open') this.#change('half-open')
    this.#probing = true
    return this.#permit
  }

  /** Hands a permit back. False where the call has no say any more. */
  settle(permit: Permit, { outcome, begunAt, isProven = true, certainty = 1 }: EndedCall): boolean {
    const isAnswer = outcome === 'success' || outcome === 'error'
    if (isAnswer) this.#answeredAt = this.#clock.monotonic()
    if (permit.generation !== this.#generation) return false
    if (this.#state === 'half-open') {
      this.#probing = false
      if (isAnswer) this.#close()
      else if (outcome === 'silent' && certainty >= 1) this.#open()
      return true
    }
    if (outcome === 'neutral') return true
    if (isAnswer) this.#endRun()
    else if (!this.answeredSince(begunAt)) this.#run += certainty * this.weightOf(begunAt, isProven)
    this.#silentShare += ((isAnswer ? 0 : 1) - this.#silentShare) * WEIGHT * certainty
    if (this.#run >= this.#runThatOpens) this.#open()
    return true
  }

  #endRun(): void {
    this.#run = 0
    const run = Math.ceil(Math.log(COINCIDENCE) / Math.log(this.#silentShare))
    this.#runThatOpens = Math.min(LONGEST_RUN, Math.max(SHORTEST_RUN, run))
  }

  #open(): void {
    const longest = Math.min(LONGEST_OPEN_MS, FIRST_OPEN_MS * 2 ** Math.min(this.#openings, 16))
    this.#openings += 1
    this.#openUntilForUnproven = this.#clock.monotonic() + longest
    this.#openUntil = this.#openUntilForUnproven - longest * 0.5 * this.#random()
    this.#change('open')
  }

  #close(): void {
    // The share stays: where a run was opened by what callers chose, the next one must be longer.
    this.#openings = 0
    this.#endRun()
    this.#change('closed')
  }

  #change(state: BreakerState): void {
    this.#state = state
    this.#run = 0
    this.#probing = false
    this.#generation += 1
    this.#permit = { generation: this.#generation }
    this.#onChange(state)
  }
}
