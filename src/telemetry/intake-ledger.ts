// The intake's side of the ledger: accepted = delivered + held + stored + dropped, in records.

import type { LabelValue } from '../kernel/metrics/metric.ts'
import {
  REPORTS_ACCEPTED_TOTAL,
  REPORTS_DROPPED_TOTAL,
  REPORTS_HELD,
  REPORTS_QUEUED_TOTAL,
  REPORTS_REFUSED_TOTAL,
  REPORTS_SPOOLED,
  REPORTS_STORED_TOTAL,
} from '../kernel/metrics/reports.ts'
import type { Counter, Gauge, Meter } from '../kernel/ports.ts'

/** Why the intake dropped records. */
export type IntakeDrop = LabelValue<typeof REPORTS_DROPPED_TOTAL, 'reason'>
/** Why the intake did not take records. */
export type IntakeRefusal = LabelValue<typeof REPORTS_REFUSED_TOTAL, 'reason'>

/** The numbers of one process. What was refused is no part of the sum. */
export interface IntakeTotals {
  /** Everything that this process is answerable for: what it was sent, and what it took over on disk. */
  readonly accepted: number
  /** Of these, what earlier processes had accepted, and left on disk. */
  readonly recovered: number
  /** Handed to the queue. */
  readonly delivered: number
  /** In memory: what is lost when the process is killed. */
  readonly held: number
  /** On disk now: what the next process takes over. */
  readonly stored: number
  readonly dropped: Readonly<Partial<Record<IntakeDrop, number>>>
  readonly refused: Readonly<Partial<Record<IntakeRefusal, number>>>
}

/** Counts the records of one intake, and shows them as metrics. */
export class IntakeLedger {
  readonly #dropped = new Map<IntakeDrop, number>()
  readonly #refused = new Map<IntakeRefusal, number>()
  readonly #series: { accepted: Counter; delivered: Counter; stored: Counter; held: Gauge; spooled: Gauge }
  readonly #droppedSeries: (labels: { reason: IntakeDrop }) => Counter
  readonly #refusedSeries: (labels: { reason: IntakeRefusal }) => Counter
  #accepted = 0
  #delivered = 0
  #recovered = 0

  constructor(meter: Meter) {
    this.#series = {
      accepted: meter.counter(REPORTS_ACCEPTED_TOTAL)(),
      delivered: meter.counter(REPORTS_QUEUED_TOTAL)(),
      stored: meter.counter(REPORTS_STORED_TOTAL)(),
      held: meter.gauge(REPORTS_HELD)(),
      spooled: meter.gauge(REPORTS_SPOOLED)(),
    }
    this.#droppedSeries = meter.counter(REPORTS_DROPPED_TOTAL)
    this.#refusedSeries = meter.counter(REPORTS_REFUSED_TOTAL)
  }

  accepted(count: number): void {
    this.#accepted += count
    this.#series.accepted.add(count)
  }

  /** Taken over on disk: accepted by an earlier process, and by this one from now on. */
  recovered(count: number): void {
    this.#recovered += count
    this.accepted(count)
  }

  delivered(count: number): void {
    this.#delivered += count
    this.#series.delivered.add(count)
  }

  stored(count: number): void {
    this.#series.stored.add(count)
  }

  dropped(reason: IntakeDrop, count: number): void {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + count)
    this.#droppedSeries({ reason }).add(count)
  }

  refused(reason: IntakeRefusal, count: number): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + count)
    this.#refusedSeries({ reason }).add(count)
  }

  /** Shows how many records are in memory now. */
  holds(held: number): void {
    this.#series.held.set(held)
  }

  /** Shows how many records are on disk now. */
  spooled(stored: number): void {
    this.#series.spooled.set(stored)
  }

  /** @param held and @param stored as counted by those who hold the records: that the sum is right is not by definition. */
  totals(held: number, stored: number): IntakeTotals {
    return {
      accepted: this.#accepted,
      recovered: this.#recovered,
      delivered: this.#delivered,
      held,
      stored,
      dropped: Object.fromEntries(this.#dropped),
      refused: Object.fromEntries(this.#refused),
    }
  }
}
