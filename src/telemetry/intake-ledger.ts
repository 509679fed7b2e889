// The intake's side of the ledger: accepted = delivered + held + dropped, in records.

import type { LabelValue } from '../kernel/metrics/metric.ts'
import {
  REPORTS_ACCEPTED_TOTAL,
  REPORTS_DROPPED_TOTAL,
  REPORTS_HELD,
  REPORTS_QUEUED_TOTAL,
  REPORTS_STORED_TOTAL,
} from '../kernel/metrics/reports.ts'
import type { Counter, Gauge, Meter } from '../kernel/ports.ts'

/** Why the intake dropped records. */
export type IntakeDrop = LabelValue<typeof REPORTS_DROPPED_TOTAL, 'reason'>

/** The numbers of one process. `delivered` means handed to the queue; `stored` was written to disk for the next start. */
export interface IntakeTotals {
  readonly accepted: number
  readonly delivered: number
  readonly held: number
  readonly stored: number
  readonly dropped: Readonly<Partial<Record<IntakeDrop, number>>>
}

/** Counts the records of one intake, and shows them as metrics. */
export class IntakeLedger {
  readonly #dropped = new Map<IntakeDrop, number>()
  readonly #series: { accepted: Counter; delivered: Counter; stored: Counter; held: Gauge }
  readonly #droppedSeries: (labels: { reason: IntakeDrop }) => Counter
  #accepted = 0
  #delivered = 0
  #stored = 0

  constructor(meter: Meter) {
    this.#series = {
      accepted: meter.counter(REPORTS_ACCEPTED_TOTAL)(),
      delivered: meter.counter(REPORTS_QUEUED_TOTAL)(),
      stored: meter.counter(REPORTS_STORED_TOTAL)(),
      held: meter.gauge(REPORTS_HELD)(),
    }
    this.#droppedSeries = meter.counter(REPORTS_DROPPED_TOTAL)
  }

  accepted(count: number): void {
    this.#accepted += count
    this.#series.accepted.add(count)
  }

  delivered(count: number): void {
    this.#delivered += count
    this.#series.delivered.add(count)
  }

  stored(count: number): void {
    this.#stored += count
    this.#series.stored.add(count)
  }

  dropped(reason: IntakeDrop, count: number): void {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + count)
    this.#droppedSeries({ reason }).add(count)
  }

  /** Shows how many records are held now. */
  holds(count: number): void {
    this.#series.held.set(count)
  }

  /** @param held as counted by those who hold the records: that the sum is right is not by definition. */
  totals(held: number): IntakeTotals {
    return {
      accepted: this.#accepted,
      delivered: this.#delivered,
      held,
      stored: this.#stored,
      dropped: Object.fromEntries(this.#dropped),
    }
  }
}
