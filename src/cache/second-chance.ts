// Which entry of a cache makes room: the oldest that was not used since it came or was last looked at (second chance, or
// CLOCK: Corbató 1968). A use only sets a mark, so a hit writes nothing but its own entry.

import { EntryList, type ListLinks } from './entry-list.ts'

/** What a list links; `isUsed` is set by whoever uses the entry. */
export interface Linked<T> extends ListLinks<T> {
  isUsed: boolean
}

/** Used entries that one search passes over at most: making room takes the same time whatever the number of entries. */
const MAX_CHANCES = 16

/** Entries in the order in which they came, without a bound of its own. */
export class SecondChance<T extends Linked<T>> {
  readonly #entries = new EntryList<T>()

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#entries.bytes
  }

  add(entry: T): void {
    this.#entries.append(entry)
  }

  /** Takes out an entry that is in the list. */
  remove(entry: T): void {
    this.#entries.unlink(entry)
  }

  /** The entry that is to make room for others; it stays in the list. */
  victim(): T | undefined {
    for (let chances = 0; chances < MAX_CHANCES; chances++) {
      const entry = this.#entries.oldest
      if (entry === undefined || !entry.isUsed) return entry
      entry.isUsed = false
      this.#entries.unlink(entry)
      this.#entries.append(entry)
    }
    return this.#entries.oldest
  }
}
