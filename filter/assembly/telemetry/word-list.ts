// The words of one message: each text that its records have is there once, and stands for its index, -1 and below.

import { isSame } from '../bytes/bytes'
import { hashOf } from '../bytes/hash'
import { Writer } from '../wire/writer'

const WORDS = 2
const FIRST_ROOM: i32 = 512

export class WordList {
  /** The words as the fields of the message that they are. */
  readonly writer: Writer = new Writer()
  private count: i32 = 0
  /** By place: where a word begins, counted from that of the writer. */
  private begins: StaticArray<i32> = new StaticArray<i32>(FIRST_ROOM)
  private sizes: StaticArray<i32> = new StaticArray<i32>(FIRST_ROOM)
  private hashes: StaticArray<u32> = new StaticArray<u32>(FIRST_ROOM)
  /** A table of places, from 1, twice as large; 0 is free. */
  private table: StaticArray<i32> = new StaticArray<i32>(FIRST_ROOM * 2)

  clear(): void {
    this.count = 0
    this.writer.reset()
    memory.fill(changetype<usize>(this.table), 0, (<usize>this.table.length) << 2)
  }

  get size(): i32 {
    return this.writer.size
  }

  /** Whether an index stands for a text. */
  is(index: i32, at: usize, size: i32): bool {
    const place = -index - 1
    return isSame(this.writer.from + <usize>unchecked(this.begins[place]), unchecked(this.sizes[place]), at, size)
  }

  /** The index that stands for a text. */
  index(at: usize, size: i32): i32 {
    const hash = hashOf(at, size)
    const mask = this.table.length - 1
    let slot = <i32>hash & mask
    for (let place = unchecked(this.table[slot]); place !== 0; place = unchecked(this.table[slot])) {
      if (unchecked(this.hashes[place - 1]) === hash && this.is(-place, at, size)) return -place
      slot = (slot + 1) & mask
    }
    if (this.count === this.begins.length) {
      this.grow()
      return this.index(at, size)
    }
    this.writer.bytesAlways(WORDS, at, size)
    this.begins[this.count] = this.writer.size - size
    this.sizes[this.count] = size
    this.hashes[this.count] = hash
    this.count++
    this.table[slot] = this.count
    return -this.count
  }

  private grow(): void {
    const room = this.begins.length * 2
    const begins = new StaticArray<i32>(room)
    const sizes = new StaticArray<i32>(room)
    const hashes = new StaticArray<u32>(room)
    const table = new StaticArray<i32>(room * 2)
    const mask = table.length - 1
    for (let i = 0; i < this.count; i++) {
      begins[i] = this.begins[i]
      sizes[i] = this.sizes[i]
      hashes[i] = this.hashes[i]
      let slot = <i32>hashes[i] & mask
      while (table[slot] !== 0) slot = (slot + 1) & mask
      table[slot] = i + 1
    }
    this.begins = begins
    this.sizes = sizes
    this.hashes = hashes
    this.table = table
  }
}
