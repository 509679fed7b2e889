// The ledger of records: accepted = sent + held + dropped, at every moment. It is shown as statistics of Envoy.

import { bytesOf } from '../bytes/bytes'
import {
  Gauge,
  REPORTS_ACCEPTED,
  REPORTS_CALLS_FAILED,
  REPORTS_CALLS_REFUSED,
  REPORTS_CALLS_TAKEN,
  REPORTS_DROPPED_END,
  REPORTS_DROPPED_FULL,
  REPORTS_DROPPED_REFUSED,
  REPORTS_SENT,
} from '../shared/counters'

/** What one call tells of each reason: the rest of its count is for records (kernel/report.ts). */
const MAX_TOLD: i64 = 250_000_000

export class ReportLedger {
  /** What no node has been told yet. */
  private untoldFull: i64 = 0
  private untoldRefused: i64 = 0
  private readonly held: Gauge = new Gauge(bytesOf('intermix.reports.held'))
  private readonly heldBytes: Gauge = new Gauge(bytesOf('intermix.reports.held_bytes'))

  accepted(): void {
    REPORTS_ACCEPTED.add()
  }

  /** A node has taken a call of so many records. */
  taken(count: i32): void {
    REPORTS_SENT.add(count)
    REPORTS_CALLS_TAKEN.add()
  }

  /** A call has to be tried again. */
  failed(): void {
    REPORTS_CALLS_FAILED.add()
  }

  full(count: i32): void {
    REPORTS_DROPPED_FULL.add(count)
    this.untoldFull += count
  }

  refused(count: i32): void {
    REPORTS_DROPPED_REFUSED.add(count)
    REPORTS_CALLS_REFUSED.add()
    this.untoldRefused += count
  }

  lost(count: i32): void {
    REPORTS_DROPPED_END.add(count)
  }

  get hasUntold(): bool {
    return this.untoldFull + this.untoldRefused > 0
  }

  /** What is to be told with the next call, as much of it as one call may count: it is that call's to tell from now on. */
  takeFull(): i64 {
    const told = min(MAX_TOLD, this.untoldFull)
    this.untoldFull -= told
    return told
  }

  takeRefused(): i64 {
    const told = min(MAX_TOLD, this.untoldRefused)
    this.untoldRefused -= told
    return told
  }

  /** A call that should have told it was refused, as a whole. */
  giveBack(full: i64, refused: i64): void {
    this.untoldFull += full
    this.untoldRefused += refused
  }

  show(records: i32, bytes: i32): void {
    this.held.tell(records)
    this.heldBytes.tell(bytes)
  }
}
