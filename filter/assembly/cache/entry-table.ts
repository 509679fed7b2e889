// Entries by their place and their values, bounded in number and bytes; what was not found for the longest time goes first (second
// chance: Corbató, 1968).

import { Entry } from './entry'
import { Place } from './shape-tree'
import { Values } from './values'

export class EntryTable {
  private readonly buckets: StaticArray<Entry | null>
  private readonly mask: u32

  /** @param most entries, about */
  constructor(most: i32) {
    let size = 64
    while (size < most) size *= 2
    this.buckets = new StaticArray<Entry | null>(size)
    this.mask = size - 1
  }

  find(place: Place, values: Values): Entry | null {
    const hash = values.hash(place.id)
    let entry = unchecked(this.buckets[hash & this.mask])
    while (entry !== null) {
      if (entry.hash === hash && entry.place === place && values.isEqual(entry.values)) return entry
      entry = entry.next
    }
    return null
  }

  add(place: Place, values: Values): Entry {
    const hash = values.hash(place.id)
    const entry = new Entry(place, hash, values.kept())
    entry.next = this.buckets[hash & this.mask]
    this.buckets[hash & this.mask] = entry
    return entry
  }

  remove(entry: Entry): void {
    const bucket = entry.hash & this.mask
    let at = this.buckets[bucket]
    if (at === entry) {
      this.buckets[bucket] = entry.next
      return
    }
    while (at !== null) {
      const next = at.next
      if (next === entry) {
        at.next = entry.next
        return
      }
      at = next
    }
  }
}
