// How much was granted within the last stretch of time, counted in ticks.

const LEAST_TICK_MS = 100
const MOST_TICKS = 600

/**
 * A rolling window. An amount counts until the whole tick in which it was granted has left the window: ticks (100 ms, or
 * a 600th of long windows) make the window up to one tick longer, never shorter.
 */
export class RollingWindow {
  readonly #tickMs: number
  readonly #ticks: Float64Array
  #newest = 0
  /** The newest tick that something was added to. */
  #latest = 0
  #used = 0

  constructor(windowMs: number) {
    this.#tickMs = Math.max(LEAST_TICK_MS, windowMs / MOST_TICKS)
    this.#ticks = new Float64Array(Math.ceil(windowMs / this.#tickMs) + 1)
  }

  /** The sum within the window that ends at `now` (milliseconds that never step back). */
  used(now: number): number {
    const tick = Math.floor(now / this.#tickMs)
    const size = this.#ticks.length
    for (let missed = Math.min(size, tick - this.#newest); missed > 0; missed--) {
      const index = (tick - missed + 1) % size
      this.#used -= this.#ticks[index] ?? 0
      this.#ticks[index] = 0
    }
    this.#newest = Math.max(this.#newest, tick)
    return this.#used
  }

  add(amount: number, now: number): void {
    this.used(now)
    const index = this.#newest % this.#ticks.length
    this.#ticks[index] = (this.#ticks[index] ?? 0) + amount
    this.#used += amount
    this.#latest = this.#newest
  }

  /** Milliseconds until nothing that was added counts any more. */
  resetMs(now: number): number {
    return this.used(now) === 0 ? 0 : this.#leavesIn(this.#latest, now)
  }

  /** Milliseconds until so much of what is used has left the window; infinite where it is not so much. */
  waitMs(amount: number, now: number): number {
    this.used(now)
    let left = -amount
    for (let tick = Math.max(0, this.#newest - this.#ticks.length + 1); tick <= this.#newest && left < 0; tick++) {
      left += this.#ticks[tick % this.#ticks.length] ?? 0
      if (left >= 0) return this.#leavesIn(tick, now)
    }
    return left < 0 ? Number.POSITIVE_INFINITY : 0
  }

  #leavesIn(tick: number, now: number): number {
    return Math.max(0, (tick + this.#ticks.length) * this.#tickMs - now)
  }
}
