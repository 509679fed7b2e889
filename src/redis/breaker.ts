// A circuit breaker that probes by itself, so that no request pays for finding out that Redis is back.

import type { Clock, Random } from '../kernel/ports.ts'

interface BreakerOptions {
  /** Consecutive failures after which a probe decides whether it opens. */
  readonly threshold: number
  /** Milliseconds until a probe, spread by ±25 %. */
  readonly openMs: number
  readonly clock: Clock
  readonly random: Random
  /** Whether the other side answers now, `undefined` where that could not be told; must settle by itself. */
  readonly probe: () => Promise<boolean | undefined>
  readonly onChange: (open: boolean) => void
}

/**
 * Counts consecutive failures. What was in flight at one moment fails together, so that many failures may be one: before
 * it opens, a probe has to fail, too. While it is open, one probe at a time decides when it closes.
 */
export class Breaker {
  readonly #options: BreakerOptions
  #failures = 0
  #open = false
  #confirming = false
  #stopped = false
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
    if (this.#open || this.#confirming || this.#failures < this.#options.threshold) return
    void this.#confirm()
  }

  /** Closes it without a probe: a new connection has just answered. */
  reset(): void {
    this.#failures = 0
    this.#cancel?.()
    this.#cancel = undefined
    if (!this.#open) return
    this.#open = false
    this.#options.onChange(false)
  }

  /** Ends the probing, for good. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
    this.#cancel = undefined
  }

  async #confirm(): Promise<void> {
    this.#confirming = true
    const answers = await this.#options.probe()
    this.#confirming = false
    this.#failures = 0
    if (answers !== false || this.#stopped) return
    this.#open = true
    this.#wait()
    this.#options.onChange(true)
  }

  #wait(): void {
    const { clock, random, openMs } = this.#options
    this.#cancel = clock.after(openMs * (0.75 + random() / 2), () => void this.#probe())
  }

  async #probe(): Promise<void> {
    const waiting = this.#cancel
    const answers = await this.#options.probe()
    if (!this.#open || this.#cancel !== waiting) return
    if (answers === true) this.reset()
    else this.#wait()
  }
}
