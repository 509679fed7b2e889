// Tells the log how a handler's backend is: a line when it goes away and one when it is back, however often it is asked.

import type { Clock, Logger } from '../kernel/ports.ts'

/** `failing`: it answers, and over half of the answers are errors. `away`: it gives no answers and is not called. */
export type Presence = 'well' | 'failing' | 'away'

const WORDS: Readonly<Record<Presence, string>> = {
  well: 'backend is back',
  failing: 'backend fails more often than not: it is asked less',
  away: 'backend is away: it is not called but for a probe every second or two',
}
/** A backend that comes and goes is told of this often; afterwards once in so many milliseconds. */
const MOST_LINES = 4
const LINE_EVERY_MS = 15_000

export class BackendPresence {
  readonly #clock: Clock
  readonly #log: Logger
  readonly #words: Readonly<Record<Presence, string>>
  #presence: Presence = 'well'
  #told: Presence = 'well'
  #troubledSince = 0
  #reason = ''
  #leftOut = 0
  #lines = MOST_LINES
  #linesAt = 0
  #isWaiting = false

  /**
   * @param log already names the handler
   * @param words what to say; of a backend of checks unless given
   */
  constructor(clock: Clock, log: Logger, words = WORDS) {
    this.#clock = clock
    this.#log = log
    this.#words = words
  }

  /** @param reason what the last call failed with */
  set(presence: Presence, reason: string): void {
    if (presence === this.#presence) return
    if (this.#presence === 'well') this.#troubledSince = this.#clock.monotonic()
    this.#presence = presence
    this.#reason = reason
    this.#leftOut += 1
    if (!this.#isWaiting) this.#tell()
  }

  #tell(): void {
    const now = this.#clock.monotonic()
    this.#lines = Math.min(MOST_LINES, this.#lines + (now - this.#linesAt) / LINE_EVERY_MS)
    this.#linesAt = now
    if (this.#presence === this.#told) return
    if (this.#lines < 1) {
      this.#isWaiting = true
      this.#clock.after((1 - this.#lines) * LINE_EVERY_MS, () => {
        this.#isWaiting = false
        this.#tell()
      })
      return
    }
    this.#lines -= 1
    this.#told = this.#presence
    const changesLeftOut = this.#leftOut - 1
    this.#leftOut = 0
    const more =
      this.#presence === 'well' ? { troubledMs: Math.round(now - this.#troubledSince) } : { reason: this.#reason }
    this.#log.warn({ ...more, ...(changesLeftOut > 0 ? { changesLeftOut } : {}) }, this.#words[this.#presence])
  }
}
