// What a miss of a cache costs: the time that its caller waits, and the money that its backend asks for.

interface Sums {
  misses: number
  ms: number
  calls: number
}

/** Misses that are not forgotten before there are others. */
const LEAST_MISSES = 1

/** Of one cache, in seconds of waiting. What is long ago counts for less. */
export class MissCosts {
  readonly #sums: Sums = { misses: 0, ms: 0, calls: 0 }
  #allCalls = 0

  /** @param isCall whether the backend was called for it */
  record(ms: number, isCall: boolean): void {
    this.#sums.misses++
    this.#sums.ms += ms
    if (isCall) {
      this.#sums.calls++
      this.#allCalls++
    }
  }

  /** Calls of the backend, all that there were. */
  get calls(): number {
    return this.#allCalls
  }

  /** Mean time of a miss. */
  get seconds(): number {
    const { misses, ms } = this.#sums
    return misses === 0 ? 0 : ms / misses / 1_000
  }

  /** Calls of the backend for a miss: fewer than one, where other nodes have an answer. */
  get callsPerMiss(): number {
    const { misses, calls } = this.#sums
    return misses === 0 ? 1 : calls / misses
  }

  fade(factor: number): void {
    // Where hardly anything is missed, what it cost long ago is better than nothing.
    if (this.#sums.misses < LEAST_MISSES) return
    this.#sums.misses *= factor
    this.#sums.ms *= factor
    this.#sums.calls *= factor
  }
}
