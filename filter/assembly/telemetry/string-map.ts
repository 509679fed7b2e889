// A map of strings in a record: places of names and values in memory of the callback.

import { isSame } from '../bytes/bytes'

/** What Envoy lets through has fewer headers; of parameters of a query the first ones are enough. */
const MAX_ENTRIES = 128

export class StringMap {
  count: i32 = 0
  readonly keys: StaticArray<usize> = new StaticArray<usize>(MAX_ENTRIES)
  readonly keySizes: StaticArray<i32> = new StaticArray<i32>(MAX_ENTRIES)
  readonly values: StaticArray<usize> = new StaticArray<usize>(MAX_ENTRIES)
  readonly valueSizes: StaticArray<i32> = new StaticArray<i32>(MAX_ENTRIES)

  /** The place of a name; -1 where it is not there. */
  find(key: usize, size: i32): i32 {
    for (let i = 0; i < this.count; i++) if (isSame(this.keys[i], this.keySizes[i], key, size)) return i
    return -1
  }

  /** Adds an entry whose name is not there yet. */
  add(key: usize, keySize: i32, value: usize, valueSize: i32): void {
    const at = this.count
    if (at === MAX_ENTRIES) return
    this.keys[at] = key
    this.keySizes[at] = keySize
    this.values[at] = value
    this.valueSizes[at] = valueSize
    this.count = at + 1
  }
}
