// Rounds of limits, not too many at once: a report may be about thousands of them.

import type { CountedLimit } from './counted-limit.ts'

const MAX_AT_ONCE = 64

export class Rounds {
  readonly #onFailure: (error: unknown, limit: CountedLimit) => void
  readonly #waiting = new Set<CountedLimit>()
  readonly #running = new Set<CountedLimit>()
  #isBooked = false

  constructor(onFailure: (error: unknown, limit: CountedLimit) => void) {
    this.#onFailure = onFailure
  }

  /** Has a round of this limit begin, after the one that is under way. */
  add(limit: CountedLimit): void {
    if (!limit.isDue || this.#running.has(limit)) return
    this.#waiting.add(limit)
    // What one message tells of a limit, by several buckets, is one round.
    if (!this.#isBooked) queueMicrotask(this.#begin)
    this.#isBooked = true
  }

  readonly #begin = (): void => {
    this.#isBooked = false
    for (const limit of this.#waiting) {
      if (this.#running.size >= MAX_AT_ONCE) return
      this.#waiting.delete(limit)
      this.#running.add(limit)
      void this.#run(limit)
    }
  }

  async #run(limit: CountedLimit): Promise<void> {
    try {
      await limit.round()
    } catch (error) {
      this.#onFailure(error, limit)
    }
    this.#running.delete(limit)
    this.add(limit)
    this.#begin()
  }
}
