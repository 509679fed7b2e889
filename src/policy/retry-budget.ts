// Keeps retries from multiplying the load on a backend that is in trouble already.

import type { Clock } from '../kernel/ports.ts'

const WINDOW_S = 10
const SHARE = 0.2
const LEAST = 30

/** Allows retries up to 20 % of the calls of the last 10 s, and 30 within 10 s however few the calls are. */
export class RetryBudget {
  readonly #clock: Clock
  readonly #calls = new Float64Array(WINDOW_S)
  readonly #retries = new Float64Array(WINDOW_S)
  #second = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Counts a first attempt. */
  call(): void {
    const index = this.#now()
    this.#calls[index] = (this.#calls[index] ?? 0) + 1
  }

  /** Takes one retry from the budget; `false` where there is none left. */
  take(): boolean {
    const index = this.#now()
    const allowed = Math.max(LEAST, SHARE * sum(this.#calls))
    const isWithin = sum(this.#retries) < allowed
    if (isWithin) this.#retries[index] = (this.#retries[index] ?? 0) + 1
    return isWithin
  }

  #now(): number {
    const second = Math.floor(this.#clock.monotonic() / 1_000)
    for (let missed = Math.min(WINDOW_S, second - this.#second); missed > 0; missed--) {
      const index = (second - missed + 1) % WINDOW_S
      this.#calls[index] = 0
      this.#retries[index] = 0
    }
    this.#second = second
    return second % WINDOW_S
  }
}

function sum(values: Float64Array): number {
  let total = 0
  for (const value of values) total += value
  return total
}
