// The counters of one process, by key. Callers choose the keys, so there is a bound, and a key more costs the same however
// many there are.

import type { LimitRule } from '../adapter-kit/limits.ts'
import { Counter } from './counter.ts'

interface Live {
  readonly counter: Counter
  readonly span: number
}

/**
 * A counter to which nothing counts any more is not kept: it is the same as none. One that counts is never dropped to make
 * room, since that would give its caller the whole limit once more: keys beyond the bound have no counter.
 */
export class LiveCounters {
  readonly #max: number
  readonly #byKey = new Map<string, Live>()
  /** By how long they count, each in the order of the last charge: the first ones are those that can be done with. */
  readonly #bySpan = new Map<number, Map<string, LimitRule>>()

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#byKey.size
  }

  /** The counter of a key, a new one where it has none; `undefined` where all places are taken. */
  get(key: string, now: number): Counter | undefined {
    const known = this.#byKey.get(key)
    if (known !== undefined) return known.counter
    if (this.#byKey.size >= this.#max) this.#dropIdle(now)
    return this.#byKey.size >= this.#max ? undefined : new Counter()
  }

  /** Keeps a counter that has been charged, or lets go of it. */
  changed(key: string, rule: LimitRule, counter: Counter, now: number): void {
    this.#drop(key)
    if (counter.count(rule, now).resetMs === 0) return
    const span = spanOf(rule)
    let keys = this.#bySpan.get(span)
    if (keys === undefined) this.#bySpan.set(span, (keys = new Map()))
    keys.set(key, rule)
    this.#byKey.set(key, { counter, span })
  }

  #drop(key: string): void {
    const known = this.#byKey.get(key)
    if (known === undefined) return
    this.#byKey.delete(key)
    const keys = this.#bySpan.get(known.span)
    keys?.delete(key)
    if (keys?.size === 0) this.#bySpan.delete(known.span)
  }

  /** What is looked at in vain is one counter a span. */
  #dropIdle(now: number): void {
    for (const keys of this.#bySpan.values()) {
      for (const [key, rule] of keys) {
        if ((this.#byKey.get(key)?.counter.count(rule, now).resetMs ?? 0) > 0) break
        this.#drop(key)
      }
    }
  }
}

/** How long a charge can count at most, as far as its rule tells. */
function spanOf(rule: LimitRule): number {
  if (rule.algorithm === 'calendarWindow') return { minute: 1, hour: 2, day: 3, week: 4, month: 5, year: 6 }[rule.unit]
  return 'windowMs' in rule ? rule.windowMs : rule.expiryMs
}
