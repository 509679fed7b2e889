// The ledger of the buffer: accepted = sent + held + dropped, in records, at every moment.

import {
  REPORT_BUFFER_ACCEPTED_TOTAL,
  REPORT_BUFFER_BYTES,
  REPORT_BUFFER_CALLS_TOTAL,
  REPORT_BUFFER_DROPPED_TOTAL,
  REPORT_BUFFER_HELD,
  REPORT_BUFFER_REFUSED_TOTAL,
  REPORT_BUFFER_SENT_TOTAL,
} from '../../kernel/metrics/report-buffer.ts'
import type { LabelValue } from '../../kernel/metrics/metric.ts'
import type { Counter, Gauge, Meter } from '../../kernel/ports.ts'
import { type DroppedRecords, MAX_CALL_COUNT } from '../../kernel/report.ts'

/** Why records were dropped of which nodes are told. */
export type ToldDrop = 'full' | 'refused'
/** What one call tells of each reason: the rest of its count is for records. */
const MAX_TOLD = MAX_CALL_COUNT / 4
export type BufferRefusal = LabelValue<typeof REPORT_BUFFER_REFUSED_TOTAL, 'reason'>

export interface BufferTotals {
  readonly accepted: number
  readonly sent: number
  readonly held: number
  readonly dropped: Readonly<Record<ToldDrop | 'shutdown', number>>
}

export class BufferLedger {
  readonly #series: { accepted: Counter; sent: Counter; held: Gauge; bytes: Gauge }
  readonly #droppedSeries: (labels: { reason: ToldDrop | 'shutdown' }) => Counter
  readonly #refusedSeries: (labels: { reason: BufferRefusal }) => Counter
  readonly calls: Readonly<Record<'taken' | 'failed' | 'refused', Counter>>
  readonly #dropped = { full: 0, refused: 0, shutdown: 0 }
  /** What no node has been told yet, or was told in a call that may be lost. */
  readonly #untold = { full: 0, refused: 0 }
  #accepted = 0
  #sent = 0

  constructor(meter: Meter) {
    this.#series = {
      accepted: meter.counter(REPORT_BUFFER_ACCEPTED_TOTAL)(),
      sent: meter.counter(REPORT_BUFFER_SENT_TOTAL)(),
      held: meter.gauge(REPORT_BUFFER_HELD)(),
      bytes: meter.gauge(REPORT_BUFFER_BYTES)(),
    }
    this.#droppedSeries = meter.counter(REPORT_BUFFER_DROPPED_TOTAL)
    this.#refusedSeries = meter.counter(REPORT_BUFFER_REFUSED_TOTAL)
    for (const reason of ['full', 'refused'] as const) this.#droppedSeries({ reason })
    const calls = meter.counter(REPORT_BUFFER_CALLS_TOTAL)
    this.calls = {
      taken: calls({ outcome: 'taken' }),
      failed: calls({ outcome: 'failed' }),
      refused: calls({ outcome: 'refused' }),
    }
  }

  get totals(): BufferTotals {
    const { full, refused, shutdown } = this.#dropped
    const held = this.#accepted - this.#sent - full - refused - shutdown
    return { accepted: this.#accepted, sent: this.#sent, held, dropped: { full, refused, shutdown } }
  }

  accepted(count: number): void {
    this.#accepted += count
    this.#series.accepted.add(count)
  }

  /** @param count of them, those that were accepted before, and those that are so because of that */
  sent(count: number): void {
    this.#sent += count
    this.#series.sent.add(count)
  }

  refused(reason: BufferRefusal, count: number): void {
    this.#refusedSeries({ reason }).add(count)
  }

  dropped(reason: ToldDrop | 'shutdown', count: number): void {
    if (count === 0) return
    this.#dropped[reason] += count
    this.#droppedSeries({ reason }).add(count)
    if (reason !== 'shutdown') this.#untold[reason] += count
  }

  get hasUntold(): boolean {
    return this.#untold.full + this.#untold.refused > 0
  }

  /** What is to be told with the next call, as much of it as one call may count: it is that call's to tell from now on. */
  takeUntold(): DroppedRecords[] {
    const told = (['full', 'refused'] as const).map((reason) => {
      const count = Math.min(MAX_TOLD, this.#untold[reason])
      this.#untold[reason] -= count
      return { reason, count }
    })
    return told.filter(({ count }) => count > 0)
  }

  /** A call that should have told it was refused, as a whole. */
  giveBack(dropped: readonly DroppedRecords[]): void {
    for (const { reason, count } of dropped) if (reason !== 'other') this.#untold[reason] += count
  }

  show(bytes: number): void {
    this.#series.held.set(this.totals.held)
    this.#series.bytes.set(bytes)
  }
}
