// Finds attributes by their index. Messages are small as a rule, and then no hash table is built.

import { GLOBAL_WORDS } from './dictionary.ts'

/** Up to this many attributes, looking through all of them is faster than a hash table. */
const SCAN_LIMIT = 48

/**
 * While a message is read, the slots of its global words: by word, the number of the message and the slot. Messages are read
 * one after the other, each to its end.
 */
const readBy = new Float64Array(GLOBAL_WORDS.length)
const slotIn = new Uint32Array(GLOBAL_WORDS.length)
let messages = 0

/** From a name's index to its slot; slots count up from 0. */
export class SlotTable {
  /** By slot. */
  readonly indexes: number[] = []
  readonly #message = ++messages
  #table: Map<number, number> | undefined

  slotOf(index: number): number | undefined {
    if (this.#table !== undefined) return this.#table.get(index)
    const slot = this.indexes.indexOf(index)
    return slot === -1 ? undefined : slot
  }

  /** The slot of an index of the message that is being read: its own, or the next one where it has none yet. */
  define(index: number): number {
    const isGlobal = index >= 0 && index < readBy.length
    if (isGlobal && readBy[index] === this.#message) return slotIn[index] ?? 0
    const known = isGlobal ? undefined : this.slotOf(index)
    if (known !== undefined) return known
    const slot = this.indexes.length
    if (isGlobal) {
      readBy[index] = this.#message
      slotIn[index] = slot
    }
    if (this.#table === undefined && slot === SCAN_LIMIT) {
      this.#table = new Map(this.indexes.map((each, at) => [each, at]))
    }
    this.#table?.set(index, slot)
    this.indexes.push(index)
    return slot
  }

  rename(slot: number, index: number): void {
    const before = this.indexes[slot]
    if (before !== undefined) this.#table?.delete(before)
    this.indexes[slot] = index
    this.#table?.set(index, slot)
  }
}
