// A bound on how often something may happen: a burst, and so many a second from then on.

export class RateBound {
  readonly #burst: number
  readonly #perMs: number
  #left: number
  #at = 0

  constructor(burst: number, perSecond: number) {
    this.#burst = burst
    this.#perMs = perSecond / 1_000
    this.#left = burst
  }

  /** Takes one. @returns false where there is none left. */
  take(now: number): boolean {
    this.#left = Math.min(this.#burst, this.#left + (now - this.#at) * this.#perMs) - 1
    this.#at = now
    return this.#left >= 0
  }

  /** Allows `count` more, up to the burst. */
  give(count: number): void {
    this.#left = Math.min(this.#burst, this.#left + count)
  }
}
