// What several offer under one name, one after the other: the latest counts, and where that ends, the one before it again. A
// config that is gone back to finds its handlers as it left them, and what they offered then.

export class Latest<V> {
  readonly #offers = new Map<string, V[]>()

  /** Offers a value until the returned function is called. */
  offer(name: string, value: V): () => void {
    const offers = this.#offers.get(name) ?? []
    this.#offers.set(name, offers)
    offers.push(value)
    let isOffered = true
    return () => {
      if (!isOffered) return
      isOffered = false
      offers.splice(offers.lastIndexOf(value), 1)
      if (offers.length === 0 && this.#offers.get(name) === offers) this.#offers.delete(name)
    }
  }

  get(name: string): V | undefined {
    return this.#offers.get(name)?.at(-1)
  }

  /** The latest of each name. */
  values(): readonly V[] {
    return [...this.#offers.values()].flatMap((offers) => offers.slice(-1))
  }
}
