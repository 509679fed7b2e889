// The reports of one stream on their way into the intake. A stream has no answers by which to refuse: what the intake does
// not take yet waits here, and the stream is not read meanwhile, so that flow control holds its sender back.

import type { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import type { ReportBatch } from '../kernel/report.ts'
import type { ReportAck, ReportService } from '../kernel/services.ts'

interface ReportFlowOptions {
  readonly report: ReportService
  readonly ack: ReportAck
  readonly clock: Clock
  readonly nextBatchId: () => string
  /** Called when nothing waits any more, and the stream may be read on. */
  readonly onRoom: () => void
  /** Hears of a batch that the intake will never take, or had not taken when the stream was over. */
  readonly onLost: (batch: ReportBatch, why: IntermixError | undefined) => void
}

/** How long a refused batch waits for its next try. */
const RETRY_MS = 100
/** Taken, with the promise still to be kept: more of one stream is not read. */
const MAX_UNPROMISED_BYTES = 1024 * 1024

/** Hands batches on in their order. */
export class ReportFlow {
  readonly #options: ReportFlowOptions
  /** No more than the transport had read before it heard of the pause. */
  readonly #waiting: ReportBatch[] = []
  #unpromised = 0
  #cancelRetry: (() => void) | undefined
  #isOver = false

  constructor(options: ReportFlowOptions) {
    this.#options = options
  }

  /** Whether the stream should not be read for now. */
  get isFull(): boolean {
    return this.#waiting.length > 0 || this.#unpromised > MAX_UNPROMISED_BYTES
  }

  /** Whether everything that came is safe. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#unpromised === 0
  }

  add(batch: ReportBatch): void {
    this.#waiting.push(batch)
    if (this.#cancelRetry === undefined) this.#pump()
  }

  /** The stream is over: tries once more, and gives up what is not taken now. */
  end(): void {
    this.#pump()
    this.#isOver = true
    this.#cancelRetry?.()
    for (const batch of this.#waiting.splice(0)) this.#options.onLost(batch, undefined)
  }

  #pump(): void {
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    for (let batch = this.#waiting[0]; batch !== undefined; batch = this.#waiting[0]) {
      if (this.#unpromised > MAX_UNPROMISED_BYTES) return
      const outcome = this.#options.report.accept(batch, this.#options.ack)
      this.#waiting.shift()
      if (outcome instanceof Promise) this.#awaitPromise(batch, outcome)
      else if (outcome !== undefined && !this.#judge(batch, outcome)) return
    }
  }

  /** @returns whether others may go on. */
  #judge(batch: ReportBatch, refusal: IntermixError): boolean {
    if (!refusal.retryable || this.#isOver) {
      this.#options.onLost(batch, refusal)
      return true
    }
    this.#waiting.unshift(batch)
    this.#cancelRetry ??= this.#options.clock.after(RETRY_MS, () => {
      this.#pump()
      this.#announce()
    })
    return false
  }

  #awaitPromise(batch: ReportBatch, outcome: Promise<IntermixError | undefined>): void {
    const { byteLength } = batch.payload
    this.#unpromised += byteLength
    void outcome.then((refusal) => {
      this.#unpromised -= byteLength
      // The queue may have it all the same, under its id: what it is put together with now must not be taken for it.
      if (refusal !== undefined) this.#judge({ ...batch, id: this.#options.nextBatchId() }, refusal)
      if (this.#cancelRetry === undefined) this.#pump()
      this.#announce()
    })
  }

  #announce(): void {
    if (!this.isFull) this.#options.onRoom()
  }
}
