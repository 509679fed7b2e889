// Which entry of a cache makes room, by S3-FIFO (Yang, Zhang, Qiu, Yue, Vigfusson: FIFO queues are all you need for cache
// eviction, SOSP 2023, section 4): what comes waits in a small queue, and only what was used there goes to the main one. So
// what is asked for once leaves soon, and a use only counts.

import { EntryList, type ListLinks } from './entry-list.ts'
import { Ghosts } from './ghosts.ts'

/** What the queues link. */
export interface Queued<T> extends ListLinks<T> {
  /** A hash of the key: 32 bits with a sign, which V8 keeps in place. */
  readonly fingerprint: number
  /** Uses since it came, or was last passed over; `used` counts them. */
  uses: number
  isMain: boolean
}

/** Uses that are counted of an entry. */
const MAX_USES = 3
/** The small queue's share of all bytes. */
const SMALL_SHARE = 0.1
/** Entries that one search passes over at most: making room takes the same time whatever the number of entries. */
const MAX_CHANCES = 64

/** Counts a use of an entry. */
export function used<T>(entry: Queued<T>): void {
  if (entry.uses < MAX_USES) entry.uses++
}

/** Entries in the order in which they are to make room, without a bound of its own. */
export class S3Fifo<T extends Queued<T>> {
  readonly #small = new EntryList<T>()
  readonly #main = new EntryList<T>()
  readonly #ghosts = new Ghosts()

  get size(): number {
    return this.#small.size + this.#main.size
  }

  get bytes(): number {
    return this.#small.bytes + this.#main.bytes
  }

  /** What is remembered of entries that are gone, in bytes. */
  get ghostBytes(): number {
    return this.#ghosts.bytes
  }

  add(entry: T): void {
    entry.uses = 0
    entry.isMain = this.#ghosts.take(entry.fingerprint, this.#main.size)
    this.#listOf(entry).append(entry)
  }

  /** Puts an entry into the place of a former one of its key, whose uses it has. */
  replace(former: T, entry: T): void {
    entry.uses = former.uses
    entry.isMain = former.isMain
    this.#listOf(former).unlink(former)
    this.#listOf(entry).append(entry)
  }

  /** Takes out an entry that is in a queue. */
  remove(entry: T): void {
    this.#listOf(entry).unlink(entry)
  }

  /** Takes out the entry that is to make room for others. */
  evict(): T | undefined {
    const small = this.#small
    const main = this.#main
    for (let chances = 0; chances < MAX_CHANCES; chances++) {
      const fromSmall = small.oldest !== undefined && (small.bytes >= SMALL_SHARE * this.bytes || main.size === 0)
      const entry = fromSmall ? small.oldest : main.oldest
      if (entry === undefined) return undefined
      if (fromSmall) {
        small.unlink(entry)
        if (entry.uses <= 1) return this.#gone(entry)
        entry.uses = 0
        entry.isMain = true
      } else {
        main.unlink(entry)
        if (entry.uses === 0) return entry
        entry.uses--
      }
      main.append(entry)
    }
    const entry = main.oldest ?? small.oldest
    if (entry !== undefined) this.remove(entry)
    return entry
  }

  #gone(entry: T): T {
    this.#ghosts.remember(entry.fingerprint)
    return entry
  }

  #listOf(entry: T): EntryList<T> {
    return entry.isMain ? this.#main : this.#small
  }
}
