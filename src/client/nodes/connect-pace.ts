// When a node may be connected to again whose connections do not last: neither each question to it nor each of a thousand callers
// at the same moment.

import type { Clock, Random } from '../../kernel/ports.ts'

/** How long it is left alone, at first and at most: callers that have no other node wait for this one. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 1_000
/** A connection that was good for so long is made anew at once. */
const LASTING_MS = 5_000
/**
 * How long a connection is kept whose node has not spoken, at first and at most: it may have many to begin with. Who left and
 * came again would be the last one in the line once more, and what the node has done for it in vain: a node that is met by more
 * callers than it can greet within their patience would greet nobody.
 */
const GREETING_MS = 20_000
const LONGEST_GREETING_MS = 80_000

export class ConnectPace {
  readonly #clock: Clock
  readonly #random: Random
  #pauseMs = 0
  #notBefore = Number.NEGATIVE_INFINITY
  #greetingMs = GREETING_MS
  #greetedAt: number | undefined

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Whether to connect now. */
  get isDue(): boolean {
    return this.#clock.monotonic() >= this.#notBefore
  }

  /** For how long to wait for the node's first word over a connection, in ms. */
  get greetingMs(): number {
    return this.#greetingMs
  }

  /** The node has spoken over the connection. */
  greeted(): void {
    this.#greetedAt = this.#clock.monotonic()
    this.#greetingMs = GREETING_MS
  }

  /** It has not for so long as it had: next time it has longer. */
  waitedInVain(): void {
    this.#greetingMs = Math.min(LONGEST_GREETING_MS, this.#greetingMs * 2)
  }

  /** The connection is lost. */
  lost(): void {
    const now = this.#clock.monotonic()
    const hasLasted = this.#greetedAt !== undefined && now - this.#greetedAt >= LASTING_MS
    this.#greetedAt = undefined
    this.#pauseMs = hasLasted ? 0 : Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2))
    this.#notBefore = now + this.#pauseMs * (0.5 + this.#random() / 2)
  }
}
