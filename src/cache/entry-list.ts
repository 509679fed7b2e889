// Entries in the order in which they came, linked through themselves: to move one writes its neighbours and nothing else.

export interface ListLinks<T> {
  readonly bytes: number
  older: T | undefined
  newer: T | undefined
}

/** An entry is in one list at most. */
export class EntryList<T extends ListLinks<T>> {
  oldest: T | undefined
  #newest: T | undefined
  size = 0
  bytes = 0

  append(entry: T): void {
    entry.older = this.#newest
    if (this.#newest === undefined) this.oldest = entry
    else this.#newest.newer = entry
    this.#newest = entry
    this.size++
    this.bytes += entry.bytes
  }

  unlink(entry: T): void {
    const { older, newer } = entry
    if (older === undefined) this.oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    entry.older = undefined
    entry.newer = undefined
    this.size--
    this.bytes -= entry.bytes
  }
}
