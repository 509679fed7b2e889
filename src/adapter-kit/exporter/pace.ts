// How hard one backend is asked from one process: calls at once that follow its failures, and a breaker that lets it rest.

import type { Clock, Random } from '../../kernel/ports.ts'

/** So many failures in a row, of whichever batches, and the backend rests. */
const FAILURES_IN_A_ROW = 3
const FIRST_REST_MS = 1000
const MAX_REST_MS = 30_000
/** The share of a rest that is left to chance, so that processes do not come back together. */
const REST_JITTER = 0.5

/**
 * Additive increase, multiplicative decrease (Chiu, Jain 1989): a call more for each round of calls that succeed, half as
 * many after one that fails. While the backend rests, and until a call succeeds again, there is one call at once: a probe.
 */
export class Pace {
  readonly #clock: Clock
  readonly #random: Random
  #most: number
  #limit: number
  #inARow = 0
  #rests = 0
  #reducedAt = Number.NEGATIVE_INFINITY
  #restsSince: number | undefined

  /** @param most calls at once */
  constructor(clock: Clock, random: Random, most: number) {
    this.#clock = clock
    this.#random = random
    this.#most = most
    this.#limit = most
  }

  /** Follows the config. A higher bound is reached by success. */
  set most(calls: number) {
    if (this.#limit === this.#most) this.#limit = calls
    this.#most = calls
    this.#limit = Math.min(this.#limit, calls)
  }

  /** Calls at once, at least 1. */
  get concurrency(): number {
    return this.#restsSince === undefined ? Math.max(1, Math.floor(this.#limit)) : 1
  }

  /** The backend took a batch, or said why it will not. */
  answered(): void {
    this.#inARow = 0
    this.#rests = 0
    this.#restsSince = undefined
    this.#limit = Math.min(this.#most, this.#limit + 1 / this.#limit)
  }

  /**
   * A call that may be made again has failed.
   *
   * @param startedAt when it was made, on the monotonic clock: of calls that were under way together, one counts
   * @returns milliseconds for which the backend should rest; 0 where others may be sent at once
   */
  failed(startedAt: number): number {
    const now = this.#clock.monotonic()
    if (startedAt >= this.#reducedAt) {
      this.#limit = Math.max(1, this.#limit / 2)
      this.#reducedAt = now
    }
    if (this.#restsSince !== undefined && startedAt < this.#restsSince) return 0
    this.#inARow += 1
    if (this.#inARow < FAILURES_IN_A_ROW) return 0
    this.#restsSince = now
    const restMs = Math.min(MAX_REST_MS, FIRST_REST_MS * 2 ** this.#rests)
    this.#rests += 1
    return restMs * (1 - REST_JITTER * this.#random())
  }
}
