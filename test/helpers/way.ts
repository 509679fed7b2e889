// One direction of a connection on simulated time.
import type { FakeClock } from './clock.ts'

/** What was sent first arrives first. */
export class Way {
  readonly #clock: FakeClock
  #lastAt = 0
  #underWay = 0
  #isOpen = true

  constructor(clock: FakeClock) {
    this.#clock = clock
  }

  send(takesMs: number, arrived: () => void): void {
    const now = this.#clock.monotonic()
    if (this.#underWay === 0 && takesMs === 0) return this.#isOpen ? arrived() : undefined
    this.#lastAt = Math.max(now + takesMs, this.#lastAt)
    this.#underWay++
    this.#clock.after(this.#lastAt - now, () => {
      this.#underWay--
      if (this.#isOpen) arrived()
    })
  }

  /** What is under way is lost. */
  close(): void {
    this.#isOpen = false
  }
}
