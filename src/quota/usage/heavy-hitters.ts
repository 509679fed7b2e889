// The keys of most weight, in bounded memory however many there are.
//
// Source: Anderson, Bevin, Lang, Liberty, Rhodes, Thaler: A High-Performance Algorithm for Identifying Frequent Items in Data
// Streams (IMC 2017), which is Misra and Gries' with weights: when there are too many keys, the weight of the last one that
// stays is taken from all. A key's weight is never too large, and too small by what was taken at most.

interface Hit<T> {
  weight: number
  readonly value: T
}

export class HeavyHitters<T> {
  readonly #size: number
  readonly #hits = new Map<string, Hit<T>>()

  /** @param size half of the keys that are kept at most */
  constructor(size: number) {
    this.#size = size
  }

  /** Adds to the weight of a key. @param create makes what is kept of one that is new here */
  add(key: string, weight: number, create: () => T): T {
    const known = this.#hits.get(key)
    if (known !== undefined) {
      known.weight += weight
      return known.value
    }
    if (this.#hits.size >= 2 * this.#size) this.#prune()
    const value = create()
    this.#hits.set(key, { weight, value })
    return value
  }

  /** Lets old weight count less. @param share of it that stays */
  fade(share: number): void {
    for (const hit of this.#hits.values()) hit.weight *= share
  }

  /** The keys of most weight, in that order. */
  top(count: number): { readonly key: string; readonly weight: number; readonly value: T }[] {
    return [...this.#hits]
      .map(([key, { weight, value }]) => ({ key, weight, value }))
      .sort((a, b) => b.weight - a.weight)
      .slice(0, count)
  }

  #prune(): void {
    const weights = Float64Array.from(this.#hits.values(), ({ weight }) => weight).sort()
    const taken = weights[weights.length - this.#size] ?? 0
    for (const [key, hit] of this.#hits) {
      hit.weight -= taken
      if (hit.weight <= 0) this.#hits.delete(key)
    }
  }
}
