// When something that failed is tried again: after a wait that doubles with each failure in a row.

import type { Clock, Random } from './ports.ts'

export interface RetryTimerOptions {
  readonly clock: Clock
  readonly random: Random
  /** Milliseconds after the first failure, and at most; up to half of a wait is left to chance. */
  readonly firstMs: number
  readonly maxMs: number
  /** Called when a wait is over. */
  readonly retry: () => void
}

/** One wait at a time. */
export class RetryTimer {
  readonly #options: RetryTimerOptions
  #failures = 0
  #cancel: (() => void) | undefined

  constructor(options: RetryTimerOptions) {
    this.#options = options
  }

  get isWaiting(): boolean {
    return this.#cancel !== undefined
  }

  /** Begins a wait, unless there is one. */
  failed(): void {
    if (this.#cancel !== undefined) return
    const { clock, random, firstMs, maxMs, retry } = this.#options
    const wait = Math.min(firstMs * 2 ** Math.min(this.#failures++, 10), maxMs) * (0.5 + random() / 2)
    this.#cancel = clock.after(wait, () => {
      this.#cancel = undefined
      retry()
    })
  }

  /** The next wait is short again. */
  worked(): void {
    this.#failures = 0
  }

  /** Waits no longer, and calls nobody. */
  cancel(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }
}
