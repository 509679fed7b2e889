// Reports that give way to each other: those that came last, and before them those that are packed into calls.

import type { Buffered, PackedCall, Settle } from './buffered.ts'

/** What one call holds at most; a single batch may be more. */
export interface CallBounds {
  readonly maxRecords: number
  readonly maxBytes: number
}

/** What has left the lane without being sent. */
export interface Displaced {
  readonly bytes: number
  /** Records that nobody waits for. */
  readonly accepted: number
  readonly waiting: readonly Settle[]
}

export class ReportLane {
  readonly #bounds: CallBounds
  readonly #coming = new Set<Buffered>()
  /** A few hundred at most: each holds thousands of records. */
  readonly #packed: PackedCall[] = []
  #records = 0
  #bytes = 0
  #packedBytes = 0
  #due = 0

  constructor(bounds: CallBounds) {
    this.#bounds = bounds
  }

  /** Whether there is enough for a call. */
  get isWorthACall(): boolean {
    return this.#records >= this.#bounds.maxRecords || this.#bytes >= this.#bounds.maxBytes
  }

  /** When what is not packed is to go on its way, on the monotonic clock, or before that; infinite where there is nothing. */
  get due(): number {
    return this.#coming.size === 0 ? Number.POSITIVE_INFINITY : this.#due
  }

  /** All that may be displaced. */
  get bytes(): number {
    return this.#bytes + this.#packedBytes
  }

  get hasPacked(): boolean {
    return this.#packed.length > 0
  }

  get isEmpty(): boolean {
    return this.#coming.size === 0 && !this.hasPacked
  }

  /** @returns whether something is to be done now, or sooner than before */
  add(entry: Buffered): boolean {
    const before = this.due
    this.#coming.add(entry)
    this.#records += entry.batch.count
    this.#bytes += entry.bytes
    this.#due = Math.min(before, entry.due)
    return this.#due < before || this.isWorthACall
  }

  /** Nobody waits for this batch any more. @returns whether it was still here, and not packed */
  takeBack(entry: Buffered): boolean {
    if (!this.#coming.delete(entry)) return false
    this.#records -= entry.batch.count
    this.#bytes -= entry.bytes
    return true
  }

  /** The oldest batches, as many as a call holds; they are here no more. */
  take(): Buffered[] {
    const { maxRecords, maxBytes } = this.#bounds
    const taken: Buffered[] = []
    let records = 0
    let bytes = 0
    for (const entry of this.#coming) {
      records += entry.batch.count
      bytes += entry.bytes
      if (taken.length > 0 && (records > maxRecords || bytes > maxBytes)) break
      taken.push(entry)
      this.takeBack(entry)
    }
    this.#due = Number.POSITIVE_INFINITY
    for (const { due } of this.#coming) this.#due = Math.min(this.#due, due)
    return taken
  }

  addPacked(call: PackedCall): void {
    this.#packed.push(call)
    this.#packedBytes += call.message.length
  }

  takePacked(): PackedCall | undefined {
    const call = this.#packed.shift()
    this.#packedBytes -= call?.message.length ?? 0
    return call
  }

  /** What came first and was not sent yet leaves: a whole call where some are packed. */
  displace(): Displaced | undefined {
    const call = this.takePacked()
    if (call !== undefined) return { bytes: call.message.length, accepted: call.accepted, waiting: call.waiting }
    const entry = this.#first
    if (entry === undefined) return undefined
    this.takeBack(entry)
    const { bytes, batch, settle } = entry
    return settle === undefined
      ? { bytes, accepted: batch.count, waiting: [] }
      : { bytes, accepted: 0, waiting: [settle] }
  }

  get #first(): Buffered | undefined {
    const [first] = this.#coming
    return first
  }
}
