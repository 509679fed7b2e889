// How much may be done in the background: so many a second, and as many at once.

import type { Clock } from '../kernel/ports.ts'

export class TokenBucket {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #perSecond: number
  #tokens: number
  #at: number

  constructor(clock: Pick<Clock, 'monotonic'>, perSecond: number) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#tokens = perSecond
    this.#at = clock.monotonic()
  }

  /** Takes one where there is one. */
  take(): boolean {
    const now = this.#clock.monotonic()
    this.#tokens = Math.min(this.#perSecond, this.#tokens + ((now - this.#at) / 1_000) * this.#perSecond)
    this.#at = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
