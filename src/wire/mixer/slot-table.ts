// Finds attributes by their index. Messages are small as a rule, and then no hash table is built.

/** Up to this many attributes, looking through all of them is faster than a hash table. */
const SCAN_LIMIT = 48

/** From a name's index to its slot; slots count up from 0. */
export class SlotTable {
  /** By slot. */
  readonly indexes: number[] = []
  #table: Map<number, number> | undefined

  slotOf(index: number): number | undefined {
    if (this.#table !== undefined) return this.#table.get(index)
    const slot = this.indexes.indexOf(index)
    return slot === -1 ? undefined : slot
  }

  /** Gives the next slot to an index that has none. */
  add(index: number): void {
    if (this.#table === undefined && this.indexes.length === SCAN_LIMIT) {
      this.#table = new Map(this.indexes.map((known, slot) => [known, slot]))
    }
    this.#table?.set(index, this.indexes.length)
    this.indexes.push(index)
  }

  rename(slot: number, index: number): void {
    const before = this.indexes[slot]
    if (before !== undefined) this.#table?.delete(before)
    this.indexes[slot] = index
    this.#table?.set(index, slot)
  }
}
