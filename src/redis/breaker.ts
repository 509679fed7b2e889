// A circuit breaker that probes by itself, so that no request pays for finding out that Redis is back.

import type { Clock, Random } from '../kernel/ports.ts'

interface BreakerOptions {
  /** Consecutive failures that open it. */
  readonly threshold: number
  /** Milliseconds until a probe, spread by ±25 %. */
  readonly openMs: number
  readonly clock: Clock
  readonly random: Random
  /** Whether the other side answers now; must settle by itself. */
  readonly probe: () => Promise<boolean>
  readonly onChange: (open: boolean) => void
}

/** Counts consecutive failures; while open, one probe at a time decides when it closes. */
export class Breaker {
  readonly #options: BreakerOptions
  #failures = 0
  #open = false
  #cancel: (() => void) | undefined

  constructor(options: BreakerOptions) {
    this.#options = options
  }

  get open(): boolean {
    return this.#open
  }

  succeeded(): void {
    this.#failures = 0
  }

  failed(): void {
    this.#failures++
    if (this.#open || this.#failures < this.#options.threshold) return
    this.#open = true
    this.#wait()
    this.#options.onChange(true)
  }

  /** Closes it without a probe: a new connection has just answered. */
  reset(): void {
    this.#failures = 0
    this.stop()
    if (!this.#open) return
    this.#open = false
    this.#options.onChange(false)
  }

  /** Ends the probing. */
  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  #wait(): void {
    const { clock, random, openMs } = this.#options
    this.#cancel = clock.after(openMs * (0.75 + random() / 2), () => void this.#probe())
  }

  async #probe(): Promise<void> {
    const waiting = this.#cancel
    const answers = await this.#options.probe()
    if (!this.#open || this.#cancel !== waiting) return
    if (answers) this.reset()
    else this.#wait()
  }
}
