// A circuit breaker that probes by itself, so that no request pays for finding out that Redis is back.

import type { Clock, Random } from '../kernel/ports.ts'

interface BreakerOptions {
  /** Consecutive failures after which a probe decides whether it opens. */
  readonly threshold: number
  /** Milliseconds until a probe, spread by ±25 %. */
  readonly openMs: number
  readonly clock: Clock
  readonly random: Random
  /** Whether the other side answers now, `undefined` where that could not be told; must settle by itself. The first one of a connection may take longer. */
  readonly probe: (isFirst: boolean) => Promise<boolean | undefined>
  /** It has opened or closed, or a connection was found unfit. */
  readonly onChange: () => void
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
  #turn = 0

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

  /** Opens it, without a word, until a probe of the connection that has just been made tells. */
  verify(): void {
    this.#open = true
    void this.#probe(true)
  }

  /** Ends the probing, for good. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
    this.#cancel = undefined
  }

  async #confirm(): Promise<void> {
    this.#confirming = true
    const answers = await this.#options.probe(false)
    this.#confirming = false
    this.#failures = 0
    if (answers !== false || this.#stopped || this.#open) return
    this.#open = true
    this.#wait()
    this.#options.onChange()
  }

  #wait(): void {
    const { clock, random, openMs } = this.#options
    this.#cancel = clock.after(openMs * (0.75 + random() / 2), () => void this.#probe(false))
  }

  async #probe(isFirst: boolean): Promise<void> {
    this.#cancel?.()
    this.#cancel = undefined
    const turn = ++this.#turn
    const answers = await this.#options.probe(isFirst)
    // A newer connection is being asked.
    if (this.#stopped || turn !== this.#turn) return
    this.#failures = 0
    if (answers === true) this.#open = false
    else this.#wait()
    if (isFirst || answers === true) this.#options.onChange()
  }
}
