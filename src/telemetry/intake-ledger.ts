// The intake's side of the ledger: accepted = delivered + held + dropped, in records.

import type { Counter, Gauge, Meter } from '../kernel/ports.ts'

/** Why the intake dropped records. */
export type IntakeDrop = 'spool-full' | 'too-large' | 'shutdown' | 'closed' | 'invalid'

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
  readonly #droppedSeries: (...labels: string[]) => Counter
  #accepted = 0
  #delivered = 0
  #stored = 0

  constructor(meter: Meter) {
    const counter = (name: string, help: string) => meter.counter({ name, help })()
    this.#series = {
      accepted: counter('reports_accepted_total', 'Records that the intake took, those re-read from disk included.'),
      delivered: counter('reports_queued_total', 'Records that the intake handed to the queue.'),
      stored: counter('reports_stored_total', 'Records written to disk at the end of the process.'),
      held: meter.gauge({ name: 'reports_held', help: 'Records that the intake holds in memory.' })(),
    }
    this.#droppedSeries = meter.counter({
      name: 'reports_dropped_total',
      help: 'Records that the intake dropped, by reason.',
      labels: ['reason'],
    })
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
    this.#droppedSeries(reason).add(count)
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
