// The bounded store in memory through which every parcel passes on its way to the queue.

import type { ReportFormats } from '../kernel/report.ts'
import type { Parcel } from './parcel.ts'

export type SpoolDrop = 'spool-full' | 'too-large'

interface Entry {
  readonly order: number
  readonly parcel: Parcel
}

/** First in, first out. Where there is no room, the oldest parcels of the lowest priority give way. */
export class MemorySpool {
  readonly #capacity: number
  readonly #formats: ReportFormats
  readonly #onDrop: (parcel: Parcel, reason: SpoolDrop) => void
  readonly #lanes: readonly [Lane, Lane] = [new Lane(), new Lane()]
  #bytes = 0
  #records = 0
  #next = 0

  /**
   * @param capacity in bytes, over all parcels that were pushed and not yet released.
   * @param formats tell which parcels can be spared; what is of none of them cannot.
   */
  constructor(capacity: number, formats: ReportFormats, onDrop: (parcel: Parcel, reason: SpoolDrop) => void) {
    this.#capacity = capacity
    this.#formats = formats
    this.#onDrop = onDrop
  }

  /** Bytes held, those of taken parcels included until they are released. */
  get bytes(): number {
    return this.#bytes
  }

  /** Records held, those of taken parcels included until they are released. */
  get records(): number {
    return this.#records
  }

  push(parcel: Parcel): void {
    if (parcel.bytes > this.#capacity) return this.#onDrop(parcel, 'too-large')
    const priority = this.#priorityOf(parcel)
    while (this.#bytes + parcel.bytes > this.#capacity) {
      const victim = this.#victim(priority)
      if (victim === undefined) return this.#onDrop(parcel, 'spool-full')
      this.release(victim)
      this.#onDrop(victim, 'spool-full')
    }
    this.#bytes += parcel.bytes
    this.#records += parcel.count
    this.#lanes[priority].append({ order: this.#next++, parcel })
  }

  /** The oldest parcel; it stays in the count until `release` or comes back by `putBack`. */
  take(): Entry | undefined {
    const [low, high] = this.#lanes
    const [a, b] = [low.first, high.first]
    if (a === undefined) return high.shift()
    return b === undefined || a.order < b.order ? low.shift() : high.shift()
  }

  putBack(entry: Entry): void {
    this.#lanes[this.#priorityOf(entry.parcel)].insert(entry)
  }

  release(parcel: Parcel): void {
    this.#bytes -= parcel.bytes
    this.#records -= parcel.count
  }

  #victim(upTo: 0 | 1): Parcel | undefined {
    const low = this.#lanes[0].shift()
    if (low !== undefined) return low.parcel
    return upTo === 1 ? this.#lanes[1].shift()?.parcel : undefined
  }

  /** The parcel's highest priority, so that nothing valuable goes with what can be spared. */
  #priorityOf(parcel: Parcel): 0 | 1 {
    return parcel.batches.every(({ format }) => this.#formats.get(format)?.sparable === true) ? 0 : 1
  }
}

/** A queue with a moving head: shifting costs no copy until half of the array is used up. */
class Lane {
  #entries: Entry[] = []
  #head = 0

  get first(): Entry | undefined {
    return this.#entries[this.#head]
  }

  append(entry: Entry): void {
    this.#entries.push(entry)
  }

  /** Puts an entry back in its order; few entries stand before it. */
  insert(entry: Entry): void {
    let at = this.#head
    while (at < this.#entries.length && (this.#entries[at]?.order ?? 0) < entry.order) at++
    if (at === this.#head && this.#head > 0) this.#entries[--this.#head] = entry
    else this.#entries.splice(at, 0, entry)
  }

  shift(): Entry | undefined {
    const entry = this.first
    if (entry === undefined) return undefined
    this.#head++
    if (this.#head > 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
    return entry
  }
}
