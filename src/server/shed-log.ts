// Says once that calls are being shed, and once that it is over, however many there are between.

import type { Clock, Logger } from '../kernel/ports.ts'

/** Nothing shed for so long: it is over. Short pauses belong to one story. */
const QUIET_MS = 5_000

/** What the operator may do about it, beside adding nodes. */
const ADVICE: Readonly<Record<string, string>> = {
  in_flight: 'add nodes, or raise --max-in-flight where this one has processor time and memory left',
}

export class ShedLog {
  readonly #clock: Clock
  readonly #log: Logger
  readonly #counts = new Map<string, number>()
  #since = 0
  #last = 0
  #total = 0

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Logger }) {
    this.#clock = clock
    this.#log = log
  }

  /** One call was shed. `reason` is one of few. */
  shed(reason: string): void {
    this.#last = this.#clock.monotonic()
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1)
    if (this.#total++ > 0) return
    this.#since = this.#last
    this.#log.warn({ reason, advice: ADVICE[reason] }, 'shedding calls: more come than this process can answer')
    this.#clock.after(QUIET_MS, this.#look)
  }

  readonly #look = (): void => {
    const quietMs = this.#clock.monotonic() - this.#last
    if (quietMs < QUIET_MS) {
      this.#clock.after(QUIET_MS - quietMs, this.#look)
      return
    }
    const shed = Object.fromEntries(this.#counts)
    this.#log.info({ shed, tookMs: Math.round(this.#last - this.#since) }, 'calls are not shed any more')
    this.#counts.clear()
    this.#total = 0
  }
}
