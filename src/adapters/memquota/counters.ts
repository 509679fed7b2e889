// The counters of one handler, by quota and dimension values. Callers choose the values, so there is a bound, and a key
// more costs the same however many there are.

import { RollingWindow } from './rolling-window.ts'

/** What one counter holds: a window that rolls, or the amount that is allocated. */
export interface Counter {
  used(now: number): number
  add(amount: number, now: number): void
  /** Milliseconds until nothing counts any more. */
  resetMs(now: number): number
  /** Milliseconds until so much is free again by itself; infinite for never. */
  waitMs(amount: number, now: number): number
}

/**
 * Counters that stand at zero are not kept: they are the same as none. One in use is never dropped to make room, since
 * that would give its caller the whole quota once more; keys beyond the bound are refused instead.
 */
export class Counters {
  readonly #max: number
  /** By the length of the window, each in the order of the last grant: those that can be idle come first. */
  readonly #byWindow = new Map<number, Map<string, Counter>>()
  #size = 0

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#size
  }

  /** The counter of a key, a new one where it has none; `undefined` where all are in use. */
  get(key: string, windowMs: number, now: number): Counter | undefined {
    const known = this.#byWindow.get(windowMs)?.get(key)
    if (known !== undefined) return known
    if (this.#size >= this.#max) this.#dropIdle(now)
    if (this.#size >= this.#max) return undefined
    return windowMs > 0 ? new RollingWindow(windowMs) : new Allocation()
  }

  /** Keeps a counter after its amount has changed, or lets go of it. */
  changed(key: string, windowMs: number, counter: Counter, now: number): void {
    let counters = this.#byWindow.get(windowMs)
    if (counters === undefined) this.#byWindow.set(windowMs, (counters = new Map()))
    if (counters.delete(key)) this.#size--
    if (counter.used(now) === 0) return
    counters.set(key, counter)
    this.#size++
  }

  /** Of each window's counters those that are idle; allocations never are. What is looked at in vain is one a window. */
  #dropIdle(now: number): void {
    for (const [windowMs, counters] of this.#byWindow) {
      if (windowMs === 0) continue
      for (const [key, counter] of counters) {
        if (counter.used(now) !== 0) break
        counters.delete(key)
        this.#size--
      }
    }
  }
}

class Allocation implements Counter {
  #used = 0

  used(): number {
    return this.#used
  }

  add(amount: number): void {
    this.#used += amount
  }

  resetMs(): number {
    return 0
  }

  waitMs(): number {
    return Number.POSITIVE_INFINITY
  }
}
