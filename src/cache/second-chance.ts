// Which entry of a cache makes room: the oldest that was not used since it came or was last looked at (second chance, or
// CLOCK: Corbató 1968). A use only sets a mark, so a hit writes nothing but its own entry.

/** What a list links; `isUsed` is set by whoever uses the entry. */
export interface Linked<T> {
  readonly bytes: number
  isUsed: boolean
  older: T | undefined
  newer: T | undefined
}

/** Used entries that one search passes over at most: making room takes the same time whatever the number of entries. */
const MAX_CHANCES = 16

/** Entries in the order in which they came, without a bound of its own. */
export class SecondChance<T extends Linked<T>> {
  #oldest: T | undefined
  #newest: T | undefined
  #size = 0
  #bytes = 0

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#bytes
  }

  add(entry: T): void {
    this.#append(entry)
    this.#size++
    this.#bytes += entry.bytes
  }

  /** Takes out an entry that is in the list. */
  remove(entry: T): void {
    this.#unlink(entry)
    this.#size--
    this.#bytes -= entry.bytes
  }

  /** The entry that is to make room for others; it stays in the list. */
  victim(): T | undefined {
    for (let chances = 0; chances < MAX_CHANCES; chances++) {
      const entry = this.#oldest
      if (entry === undefined || !entry.isUsed) return entry
      entry.isUsed = false
      this.#unlink(entry)
      this.#append(entry)
    }
    return this.#oldest
  }

  #append(entry: T): void {
    entry.older = this.#newest
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.newer = entry
    this.#newest = entry
  }

  #unlink(entry: T): void {
    const { older, newer } = entry
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    entry.older = undefined
    entry.newer = undefined
  }
}
