// The counters of one handler, by quota and dimension values, which callers choose.

import { BoundedCounters } from '../../kernel/bounded-counters.ts'
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

/** Counters by key and by the length of their window; those that stand at zero are not kept. */
export class Counters {
  readonly #kept: BoundedCounters<Counter>

  constructor(max: number) {
    this.#kept = new BoundedCounters<Counter>(max, (counter, now) => counter.used(now) === 0)
  }

  /** The counter of a key, a new one where it has none; `undefined` where all are in use. */
  get(key: string, windowMs: number, now: number): Counter | undefined {
    const known = this.#kept.get(idOf(key, windowMs))
    if (known !== undefined) return known
    if (!this.#kept.hasRoom(now)) return undefined
    return windowMs > 0 ? new RollingWindow(windowMs) : new Allocation()
  }

  /** Keeps a counter after its amount has changed, or lets go of it. */
  changed(key: string, windowMs: number, counter: Counter, now: number): void {
    this.#kept.changed(idOf(key, windowMs), windowMs, counter, now)
  }

  /** Forgets what was charged to a key, whatever its window. @returns how many counters it had */
  forget(key: string): number {
    return this.#kept.forget((id) => id.endsWith(` ${key}`))
  }
}

function idOf(key: string, windowMs: number): string {
  return `${windowMs} ${key}`
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
