// The counters of which most is used, in bounded memory however many there are.

/** Counters that have more left are not near to their limit. */
const LEAST_SHARE = 0.5

interface Near<T> {
  share: number
  /** On the monotonic clock, in ms: then it is as if nothing had been charged. */
  until: number
  readonly value: T
}

export class Nearest<T> {
  readonly #size: number
  readonly #kept = new Map<string, Near<T>>()
  /** What must be used of a counter that is new here. */
  #least = LEAST_SHARE

  /** @param size counters that are kept, where there are as many; twice as many at most */
  constructor(size: number) {
    this.#size = size
  }

  /** Notes what share of a limit is used. @param create makes what is kept of a counter that is new here */
  note(key: string, share: number, until: number, now: number, create: () => T): void {
    const known = this.#kept.get(key)
    if (known !== undefined) {
      known.share = share
      known.until = until
    } else if (share >= this.#least) {
      if (this.#kept.size >= 2 * this.#size) this.#prune(now)
      this.#kept.set(key, { share, until, value: create() })
    }
  }

  /** Those of which most is used, in that order. */
  top(count: number, now: number): { readonly key: string; readonly share: number; readonly value: T }[] {
    this.#prune(now)
    return [...this.#kept]
      .map(([key, { share, value }]) => ({ key, share, value }))
      .sort((a, b) => b.share - a.share)
      .slice(0, count)
  }

  #prune(now: number): void {
    const sorted = [...this.#kept]
      .filter(([, { share, until }]) => until > now && share >= LEAST_SHARE)
      .sort(([, a], [, b]) => b.share - a.share)
      .slice(0, this.#size)
    this.#kept.clear()
    for (const [key, near] of sorted) this.#kept.set(key, near)
    // One that is as near as the last one that stays waits for the next pruning.
    this.#least = sorted.length < this.#size ? LEAST_SHARE : (sorted.at(-1)?.[1].share ?? LEAST_SHARE)
  }
}
