// What time it is at Redis, from its answers.

/** An answer says how late it is there for so long, and up to twice as long. */
const PERIOD_MS = 5_000

/**
 * The clock of a server beside the monotonic one of this process. How long an answer was under way is not known: the one
 * that was under way for the shortest time tells best, and errs to the early side. Of several servers it is the clock that
 * is farthest ahead.
 */
export class ServerTime {
  #recent = Number.NEGATIVE_INFINITY
  #old = Number.NEGATIVE_INFINITY
  #changedAt = Number.NEGATIVE_INFINITY

  /** @param server ms since the epoch there, as an answer says that is heard at `now` (monotonic ms) */
  heard(server: number, now: number): void {
    const isOver = now - this.#changedAt >= PERIOD_MS
    if (isOver) {
      this.#old = this.#recent
      this.#recent = Number.NEGATIVE_INFINITY
      this.#changedAt = now
    }
    this.#recent = Math.max(this.#recent, server - now)
  }

  /** What the server's clock shows at `at` (monotonic ms), in whole ms; 0 where nothing was heard of it. */
  at(at: number): number {
    const ahead = Math.max(this.#recent, this.#old)
    return Number.isFinite(at) && Number.isFinite(ahead) ? Math.ceil(at + ahead + 1) : 0
  }
}
