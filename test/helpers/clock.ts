// Time under the control of a test: nothing sleeps, timers fire in order when the test advances the clock.
import type { Clock } from '../../src/kernel/ports.ts'

interface Timer {
  readonly at: number
  readonly order: number
  readonly callback: () => void
}

/**
 * A clock that stands still until it is told to move. `advance` fires due timers by time and, at the same time, in the
 * order in which they were set; after each it lets promises settle, so that what a timer starts can set further timers.
 */
export class FakeClock implements Clock {
  #wall: number
  #monotonic = 0
  #stalled = 0
  #order = 0
  readonly #timers = new Set<Timer>()

  /** Starts at `startMs` since the epoch (a fixed day in 2026 unless told). */
  constructor(startMs = Date.UTC(2026, 0, 15, 12)) {
    this.#wall = startMs
  }

  now(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  attentive(): number {
    return this.#monotonic - this.#stalled
  }

  turn(callback: () => void): () => void {
    return this.after(0, callback)
  }

  after(ms: number, callback: () => void): () => void {
    this.#order += 1
    const timer: Timer = { at: this.#monotonic + Math.max(0, ms), order: this.#order, callback }
    this.#timers.add(timer)
    return () => {
      this.#timers.delete(timer)
    }
  }

  /** Number of timers that are set and have neither fired nor been cancelled. */
  get pending(): number {
    return this.#timers.size
  }

  /** Moves both clocks by `ms`, firing what falls due on the way. */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms
    await settle()
    for (let timer = this.#next(end); timer !== undefined; timer = this.#next(end)) {
      this.#moveTo(Math.max(this.#monotonic, timer.at))
      this.#timers.delete(timer)
      timer.callback()
      await settle()
    }
    this.#moveTo(Math.max(this.#monotonic, end))
  }

  /** Lets `ms` pass as a busy loop does: what falls due meanwhile fires when the clock is next moved. */
  stall(ms: number): void {
    this.#stalled += ms
    this.#moveTo(this.#monotonic + ms)
  }

  /** Moves the wall clock alone, as an operator or NTP does; timers and `monotonic` do not notice. */
  stepWall(ms: number): void {
    this.#wall += ms
  }

  #moveTo(monotonic: number): void {
    this.#wall += monotonic - this.#monotonic
    this.#monotonic = monotonic
  }

  #next(end: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) {
      if (timer.at > end) continue
      if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order))
        first = timer
    }
    return first
  }
}

/** Lets promise chains that are ready run to their end: one turn of the event loop. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
