// Puts small batches together, so that a job in the queue carries many records.

import type { Clock } from '../kernel/ports.ts'
import type { ReportBatch } from '../kernel/report.ts'
import { mayComeAgain } from './call-names.ts'
import { type Parcel, parcelOf } from './parcel.ts'

const MAX_BYTES = 256 * 1024

/** When a batch goes on its way. */
export interface CoalescerBounds {
  readonly maxRecords: number
  readonly maxWaitMs: number
}

const DEFAULT_BOUNDS: CoalescerBounds = { maxRecords: 100, maxWaitMs: 200 }

/** Holds small batches within its bounds and 256 KB; hands on large ones at once. */
export class Coalescer {
  readonly #clock: Clock
  readonly #bounds: CoalescerBounds
  readonly #emit: (parcel: Parcel) => void
  #waiting: ReportBatch[] = []
  #records = 0
  #bytes = 0
  /** Under which report rules what waits was accepted. */
  #rules: string | undefined
  #cancel: (() => void) | undefined

  constructor(clock: Clock, emit: (parcel: Parcel) => void, bounds: CoalescerBounds = DEFAULT_BOUNDS) {
    this.#clock = clock
    this.#bounds = bounds
    this.#emit = emit
  }

  /** Records that wait here. */
  get held(): number {
    return this.#records
  }

  add(batch: ReportBatch, rules?: string): void {
    if (rules !== this.#rules) this.flush()
    this.#rules = rules
    const size = batch.payload.byteLength
    const { maxRecords, maxWaitMs } = this.#bounds
    if (batch.count >= maxRecords || size >= MAX_BYTES || mayComeAgain(batch.id)) {
      this.#emit(parcelOf([batch], batch.id, 0, rules))
      return
    }
    if (this.#records + batch.count > maxRecords || this.#bytes + size > MAX_BYTES) this.flush()
    this.#waiting.push(batch)
    this.#records += batch.count
    this.#bytes += size
    // Batches of no records weigh nothing, so their number is bounded too.
    if (this.#records >= maxRecords || this.#waiting.length >= maxRecords) this.flush()
    else this.#cancel ??= this.#clock.after(maxWaitMs, () => this.flush())
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
    this.#emit(parcelOf([first, ...rest], first.id, 0, this.#rules))
  }
}
