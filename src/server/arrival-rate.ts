// How many calls a second come, averaged over about the last second.

/** Time constant of the average, in ms. */
const OVER_MS = 1_000
/** Shorter times say nothing: the average stays as it was. */
const LEAST_MS = 100

export class ArrivalRate {
  #since: number
  #count = 0
  #perMs = 0

  /** @param now on the monotonic clock, as all times are */
  constructor(now: number) {
    this.#since = now
  }

  came(): void {
    this.#count++
  }

  perSecond(now: number): number {
    const passedMs = now - this.#since
    if (passedMs >= LEAST_MS) {
      const weight = Math.exp(-passedMs / OVER_MS)
      this.#perMs = weight * this.#perMs + (1 - weight) * (this.#count / passedMs)
      this.#since = now
      this.#count = 0
    }
    return 1_000 * this.#perMs
  }
}
