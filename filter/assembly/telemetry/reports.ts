// Tells nodes of requests: one record for each, gathered, and thousands of them in one call, as sidecars do it (client/reports/). What
// nodes do not take waits within a bound; beyond it the oldest give way, and nodes are told how many.

import { Bytes, bytesOf, copyOf, EMPTY, textOf } from '../bytes/bytes'
import { done, getStatus, grpcCancel, LogLevel, Status } from '../host/abi'
import { monotonic, random64 } from '../host/clock'
import { report } from '../shared/log'
import { Code } from '../shared/http-status'
import { Writer } from '../wire/writer'
import { CheckNotes, From } from './check-notes'
import { HeldRecords } from './held-records'
import { Record } from './record'
import { RecordReader } from './record-reader'
import { Is } from './report-attributes'
import { ReportCall } from './report-call'
import { ReportLedger } from './report-ledger'
import { ReportSettings } from './report-settings'
import { SetAttributes } from './set-attributes'

const FIRST_WAIT_MS: f64 = 500
const MAX_WAIT_MS: f64 = 10_000
/** Envoy ends calls before; who hears nothing by then has missed it. */
const LOST_MS: f64 = 20_000
/** So long a plugin that goes waits for nodes to take what it has. */
const END_MS: f64 = 2_000
/** gRPC has one code for too much at once, which passes, and for a message that no attempt makes smaller. */
const TOO_LARGE = ' larger than '
const record = new Record()
const cell = memory.data(12, 4)

export class Reports {
  readonly checks: CheckNotes = new CheckNotes()
  private readonly reader: RecordReader
  private readonly set: SetAttributes
  private readonly held: HeldRecords
  private readonly ledger: ReportLedger = new ReportLedger()
  private readonly writer: Writer = new Writer()
  /** Begins the ids of calls; no other module has it. */
  private readonly prefix: string = 'filter-' + random64().toString(36) + '-'
  private calls: u64 = 0
  private call: ReportCall | null = null
  private sentAt: f64 = 0
  private retryAt: f64 = 0
  private failures: i32 = 0
  /** When the plugin ends at the latest; infinite as long as it lives. */
  private endsAt: f64 = Infinity
  private isOver: bool = false

  /** @param set names and values of attributes that the operator has set, in turns */
  constructor(
    private readonly settings: ReportSettings,
    private readonly sender: Bytes,
    set: Array<Bytes>,
  ) {
    this.reader = new RecordReader(settings.requestHeaders, settings.responseHeaders)
    const attributes = new SetAttributes(set)
    this.set = attributes
    this.held = new HeldRecords(attributes)
  }

  /** The request of the callback is over. */
  logged(context: u32): void {
    if (this.isOver || !this.reader.read(record)) return
    const checks = this.checks
    if (checks.has(context)) {
      record.number(Is.CHECK_CODE, checks.code(context))
      const message = checks.message(context)
      record.bytes(Is.CHECK_MESSAGE, message === null ? EMPTY : message)
      const from = checks.from(context)
      if (from !== From.NOBODY) record.number(Is.CHECK_CACHE_HIT, from === From.CACHE ? 1 : 0)
    }
    record.attributes &= ~this.set.attributes
    this.held.add(record, monotonic())
    this.ledger.accepted()
    while (this.bytes > this.settings.maxBytes) {
      const dropped = this.held.displace()
      if (dropped === 0) break
      this.ledger.full(dropped)
    }
  }

  private get bytes(): i32 {
    const call = this.call
    return this.held.bytes + (call === null ? 0 : call.bytes)
  }

  /** Sends what is to be sent. To be called some fifty times a second. */
  ticked(now: f64): void {
    if (this.isOver) return
    const call = this.call
    if (call !== null && call.token !== 0 && now - this.sentAt >= LOST_MS) {
      grpcCancel(call.token)
      this.failed(call, now)
    }
    this.pump(now)
    const isEmpty = this.call === null && this.held.records === 0 && !this.ledger.hasUntold
    if (this.endsAt !== Infinity && (isEmpty || now >= this.endsAt)) this.end()
    this.ledger.show(this.held.records + this.callCount, this.bytes)
  }

  private get callCount(): i32 {
    const call = this.call
    return call === null ? 0 : call.count
  }

  private pump(now: f64): void {
    if (this.call === null) this.call = this.nextCall(now)
    const call = this.call
    if (call === null || call.token !== 0 || now < this.retryAt) return
    this.sentAt = now
    if (!call.send(this.settings.cluster, this.sender, this.writer)) this.failed(call, now)
  }

  /** The next call that is worth it; what was dropped is told with it. */
  private nextCall(now: f64): ReportCall | null {
    const held = this.held
    const settings = this.settings
    const isDue =
      held.records >= settings.callRecords ||
      held.bytes >= settings.callBytes ||
      now - held.oldest >= <f64>settings.waitMs ||
      (this.endsAt !== Infinity && held.records > 0)
    // Where nothing is held, nothing comes with which it could be told.
    if (!isDue && (held.records > 0 || !this.ledger.hasUntold)) return null
    this.calls++
    const id = bytesOf(this.prefix + this.calls.toString(36))
    const parts = held.take(settings.callRecords, settings.callBytes)
    return new ReportCall(id, parts, this.ledger.takeFull(), this.ledger.takeRefused())
  }

  /** A node has taken a call. @returns whether it is one of these */
  received(token: u32): bool {
    const call = this.call
    if (call === null || call.token !== token) return false
    if (this.failures > 0) report(LogLevel.INFO, 'a node takes reports again')
    this.failures = 0
    this.ledger.taken(call.count)
    this.finish(call)
    return true
  }

  /** A call has failed. @returns whether it is one of these */
  closed(token: u32, status: i32): bool {
    const call = this.call
    if (call === null || call.token !== token) return false
    const message = messageOf()
    const isForGood =
      status === Code.INVALID_ARGUMENT || (status === Code.RESOURCE_EXHAUSTED && message.includes(TOO_LARGE))
    if (isForGood && call.count > 0) {
      this.ledger.refused(call.count)
      this.ledger.giveBack(call.full, call.refused)
      report(LogLevel.ERROR, 'a node has refused ' + call.count.toString() + ' records for good: ' + message)
      this.finish(call)
    } else {
      if (this.failures === 0) report(LogLevel.WARN, 'no node takes reports: they are held, and sent again: ' + message)
      this.failed(call, monotonic())
    }
    return true
  }

  private failed(call: ReportCall, now: f64): void {
    call.token = 0
    this.ledger.failed()
    const wait = min(MAX_WAIT_MS, FIRST_WAIT_MS * Math.pow(2, min(this.failures, 10)))
    this.failures++
    this.retryAt = now + wait * (0.5 + <f64>(random64() & 0xffff) / 0x2_0000)
  }

  /** The next call may go. */
  private finish(call: ReportCall): void {
    call.free()
    this.call = null
    this.retryAt = 0
    // What waits for longer than the call took is not to wait for the next tick.
    if (!this.isOver) this.pump(monotonic())
  }

  /** The plugin goes. @returns whether nothing is left to be sent; if not, the host is told when that is so, or is given up */
  close(now: f64): bool {
    this.endsAt = now + END_MS
    this.retryAt = 0
    this.pump(now)
    if (this.call !== null) return false
    this.stop()
    return true
  }

  private end(): void {
    this.stop()
    done()
  }

  /** What is here is lost. What is on its way may still arrive. */
  private stop(): void {
    this.isOver = true
    const lost = this.held.records + this.callCount
    if (lost > 0) {
      this.ledger.lost(lost)
      report(LogLevel.ERROR, lost.toString() + ' records were lost at the end: no node has taken them')
    }
    if (this.ledger.hasUntold) report(LogLevel.ERROR, 'nodes have not heard of all records that were dropped')
    const call = this.call
    if (call !== null) call.free()
    this.call = null
    this.held.free()
    this.writer.free()
    this.ledger.show(0, 0)
  }
}

/** What the host says of the call that has failed. */
function messageOf(): string {
  if (getStatus(cell, cell + 4, cell + 8) !== Status.OK) return ''
  return textOf(copyOf(load<usize>(cell + 4), load<i32>(cell + 8)))
}
