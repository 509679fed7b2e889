// Counters by keys that callers choose: so there is a bound, and a key more costs the same however many there are.

interface Kept<C> {
  readonly counter: C
  readonly span: number
}

/**
 * A counter to which nothing counts any more is not kept: it is the same as none. One that counts is never dropped to make
 * room, since that would give its caller the whole limit once more: keys beyond the bound have no counter.
 */
export class BoundedCounters<C> {
  readonly #max: number
  readonly #isIdle: (counter: C, now: number) => boolean
  readonly #byKey = new Map<string, Kept<C>>()
  /** By how long they count, the keys in the order of the last charge: the first ones are those that can be done with. */
  readonly #bySpan = new Map<number, Map<string, C>>()

  /**
   * @param max counters that are in use at one time
   * @param isIdle whether nothing counts to it any more
   */
  constructor(max: number, isIdle: (counter: C, now: number) => boolean) {
    this.#max = max
    this.#isIdle = isIdle
  }

  get size(): number {
    return this.#byKey.size
  }

  get(key: string): C | undefined {
    return this.#byKey.get(key)?.counter
  }

  /** Whether there is a place for another one. */
  hasRoom(now: number): boolean {
    if (this.#byKey.size >= this.#max) this.#dropIdle(now)
    return this.#byKey.size < this.#max
  }

  /** Keeps a counter after a charge, or lets go of it. @param span how long a charge counts; those of one span end in order */
  changed(key: string, span: number, counter: C, now: number): void {
    this.drop(key)
    if (this.#isIdle(counter, now)) return
    let counters = this.#bySpan.get(span)
    if (counters === undefined) this.#bySpan.set(span, (counters = new Map()))
    counters.set(key, counter)
    this.#byKey.set(key, { counter, span })
  }

  /** Lets go of counters as if nothing had been charged to them. @returns how many there were */
  forget(isMeant: (key: string) => boolean): number {
    const meant = [...this.#byKey.keys()].filter(isMeant)
    for (const key of meant) this.drop(key)
    return meant.length
  }

  drop(key: string): void {
    const known = this.#byKey.get(key)
    if (known === undefined) return
    this.#byKey.delete(key)
    const counters = this.#bySpan.get(known.span)
    counters?.delete(key)
    if (counters?.size === 0) this.#bySpan.delete(known.span)
  }

  /** What is looked at in vain is one counter a span. */
  #dropIdle(now: number): void {
    for (const counters of this.#bySpan.values()) {
      for (const [key, counter] of counters) {
        if (!this.#isIdle(counter, now)) break
        this.drop(key)
      }
    }
  }
}
