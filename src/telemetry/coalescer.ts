// Puts small batches together, so that a job in the queue carries many records.

import type { Clock } from '../kernel/ports.ts'
import type { ReportBatch } from '../kernel/report.ts'
import { type Parcel, parcelOf } from './parcel.ts'

const MAX_RECORDS = 100
const MAX_BYTES = 64 * 1024
const MAX_WAIT_MS = 200

/** Holds small batches for at most 200 ms, 100 records or 64 KB; hands on large ones at once. */
export class Coalescer {
  readonly #clock: Clock
  readonly #emit: (parcel: Parcel) => void
  #waiting: ReportBatch[] = []
  #records = 0
  #bytes = 0
  #cancel: (() => void) | undefined

  constructor(clock: Clock, emit: (parcel: Parcel) => void) {
    this.#clock = clock
    this.#emit = emit
  }

  /** Records that wait here. */
  get held(): number {
    return this.#records
  }

  add(batch: ReportBatch): void {
    const size = batch.payload.byteLength
    if (batch.count >= MAX_RECORDS || size >= MAX_BYTES) {
      this.#emit(parcelOf([batch]))
      return
    }
    if (this.#records + batch.count > MAX_RECORDS || this.#bytes + size > MAX_BYTES) this.flush()
    this.#waiting.push(batch)
    this.#records += batch.count
    this.#bytes += size
    // Batches of no records weigh nothing, so their number is bounded too.
    if (this.#records >= MAX_RECORDS || this.#waiting.length >= MAX_RECORDS) this.flush()
    else this.#cancel ??= this.#clock.after(MAX_WAIT_MS, () => this.flush())
  }

  /** Hands on what waits. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const [first, ...rest] = this.#waiting
    if (first === undefined) return
    this.#waiting = []
    this.#records = 0
    this.#bytes = 0
    this.#emit(parcelOf([first, ...rest]))
  }
}
