// The node's side of reports: takes them at once, and hands them to the queue as fast as the queue takes them.

import { mkdirSync } from 'node:fs'
import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { ReportBatch, ReportFormats } from '../kernel/report.ts'
import type { ReportAck, ReportOutcome, ReportService } from '../kernel/services.ts'
import { Coalescer, type CoalescerBounds } from './coalescer.ts'
import { IntakeLedger, type IntakeTotals } from './intake-ledger.ts'
import { MemorySpool } from './memory-spool.ts'
import type { Parcel } from './parcel.ts'
import { readSpoolFiles, removeSpoolFile, type SpoolShare, writeSpoolFile } from './spool-file.ts'

/** Where parcels go: the queue in Redis, or the pipeline in this process. */
export interface ParcelSink {
  /** Whether it makes sense to try now: connected, and not told to hold back. */
  ready(): boolean
  /** Calls back whenever it becomes ready. */
  onReady(callback: () => void): void
  /** Settles soon. After a rejection the parcel is tried again with the same id, which must not double it. */
  add(parcel: Parcel): Promise<void>
}

export interface ReportIntakeOptions {
  readonly sink: ParcelSink
  /** Tell which reports give way first where there is no room for all. */
  readonly formats: ReportFormats
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** Bound of what is held in memory, in bytes; 64 MB unless set. */
  readonly spoolBytes?: number
  /** When small batches go on their way; 100 records or 200 ms unless set. */
  readonly coalesce?: CoalescerBounds
  /** Where to keep at the end of the process what could not be handed on; one directory for one node. */
  readonly spoolDirectory?: string
  /** Which of the files there are this process's; all of them unless set. */
  readonly spoolShare?: SpoolShare
  /** Digest of the report rules of this moment: what is accepted now is evaluated under them, whenever that is. */
  readonly rules?: () => string | undefined
  /** Distinguishes this process's file from those of earlier runs: letters, digits and `-`. */
  readonly processId: string
}

const DEFAULT_SPOOL_BYTES = 64 * 1024 * 1024
const MAX_IN_FLIGHT = 16
const FIRST_RETRY_MS = 100
const MAX_RETRY_MS = 2000
const BATCH_ID = /^[A-Za-z0-9-]{1,128}$/

type SpoolEntry = NonNullable<ReturnType<MemorySpool['take']>>

/** Takes reports. Everything passes through one bounded spool, whether the queue is there or not. */
export class ReportIntake implements ReportService {
  readonly #options: ReportIntakeOptions
  readonly #ledger: IntakeLedger
  readonly #spool: MemorySpool
  readonly #coalescer: Coalescer
  readonly #inFlight = new Set<SpoolEntry>()
  readonly #emptyListeners = new Set<() => void>()
  /** Files of an earlier run, by parcel that still waits; a file goes when its last parcel has. */
  readonly #recovered = new Map<Parcel, { path: string; left: number }>()
  #failures = 0
  #cancelRetry: (() => void) | undefined
  #closed = false
  #stopped = false

  constructor(options: ReportIntakeOptions) {
    this.#options = options
    this.#ledger = new IntakeLedger(options.meter)
    this.#spool = new MemorySpool(options.spoolBytes ?? DEFAULT_SPOOL_BYTES, options.formats, (parcel, reason) => {
      this.#ledger.dropped(reason, parcel.count)
      this.#settled(parcel)
    })
    this.#coalescer = new Coalescer(options.clock, (parcel) => this.#enqueue(parcel), options.coalesce)
    options.sink.onReady(() => {
      this.#cancelRetry?.()
      this.#cancelRetry = undefined
      this.#failures = 0
      this.#pump()
    })
    if (options.spoolDirectory !== undefined) this.#recover(options.spoolDirectory)
  }

  accept(batch: ReportBatch, _ack: ReportAck = 'memory'): ReportOutcome {
    const count = Number.isSafeInteger(batch.count) && batch.count > 0 ? batch.count : 0
    this.#ledger.accepted(count)
    if (this.#closed) {
      this.#ledger.dropped('closed', count)
      return new IntermixError('NOT_READY', 'the node is shutting down')
    }
    if (!BATCH_ID.test(batch.id) || count === 0) {
      this.#ledger.dropped('invalid', count)
      return new IntermixError('INVALID_REQUEST', 'a batch of reports needs an id and a count of records')
    }
    this.#coalescer.add(batch, this.#options.rules?.())
    return undefined
  }

  /** The ledger of this process; its sum holds at every moment. */
  totals(): IntakeTotals {
    return this.#ledger.totals(this.#held)
  }

  /** Bytes that the spool holds. */
  get spooledBytes(): number {
    return this.#spool.bytes
  }

  /**
   * Ends the intake: tries for `deadlineMs` to hand on everything; what then remains is written to disk, or counted as
   * dropped where there is no directory.
   */
  async flush(deadlineMs: number): Promise<IntakeTotals> {
    this.#closed = true
    this.#coalescer.flush()
    this.#pump()
    await this.#untilEmpty(deadlineMs)
    this.#stopped = true
    this.#cancelRetry?.()
    this.#keep(this.#remaining())
    return this.totals()
  }

  get #held(): number {
    return this.#coalescer.held + this.#spool.records
  }

  #enqueue(parcel: Parcel): void {
    this.#spool.push(parcel)
    this.#ledger.holds(this.#held)
    this.#pump()
  }

  #pump(): void {
    while (this.#inFlight.size < MAX_IN_FLIGHT && this.#cancelRetry === undefined && !this.#stopped) {
      if (!this.#options.sink.ready()) return
      const entry = this.#spool.take()
      if (entry === undefined) return
      this.#inFlight.add(entry)
      void this.#send(entry)
    }
  }

  async #send(entry: SpoolEntry): Promise<void> {
    try {
      await this.#options.sink.add(entry.parcel)
      if (!this.#inFlight.delete(entry)) return
      this.#failures = 0
      this.#ledger.delivered(entry.parcel.count)
      this.#spool.release(entry.parcel)
      this.#settled(entry.parcel)
    } catch (error) {
      if (!this.#inFlight.delete(entry)) return
      this.#spool.putBack(entry)
      this.#options.log.debug({ err: error, parcel: entry.parcel.id }, 'a report parcel waits')
      this.#retryLater()
    }
    this.#pump()
  }

  #retryLater(): void {
    if (this.#cancelRetry !== undefined || this.#stopped) return
    const { clock, random } = this.#options
    const wait = Math.min(FIRST_RETRY_MS * 2 ** Math.min(this.#failures++, 10), MAX_RETRY_MS) * (0.5 + random() / 2)
    this.#cancelRetry = clock.after(wait, () => {
      this.#cancelRetry = undefined
      this.#pump()
    })
  }

  #settled(parcel: Parcel): void {
    this.#ledger.holds(this.#held)
    const file = this.#recovered.get(parcel)
    if (file !== undefined) {
      this.#recovered.delete(parcel)
      file.left--
      if (file.left === 0) this.#removeFile(file.path)
    }
    if (this.#spool.records === 0) for (const listener of this.#emptyListeners) listener()
  }

  async #untilEmpty(deadlineMs: number): Promise<void> {
    if (this.#spool.records === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#emptyListeners.add(resolve)
    await within(this.#options.clock, deadlineMs, promise, () => undefined)
    this.#emptyListeners.delete(resolve)
  }

  /** Everything still here, oldest first. What is in flight may have arrived: its id keeps it from being doubled. */
  #remaining(): Parcel[] {
    const entries = [...this.#inFlight]
    this.#inFlight.clear()
    for (let entry = this.#spool.take(); entry !== undefined; entry = this.#spool.take()) entries.push(entry)
    return entries.sort((a, b) => a.order - b.order).map((entry) => entry.parcel)
  }

  #keep(parcels: readonly Parcel[]): void {
    const { spoolDirectory, processId, log } = this.#options
    let written = new Set<Parcel>()
    if (spoolDirectory !== undefined && parcels.length > 0) {
      try {
        written = new Set(writeSpoolFile(spoolDirectory, `${this.#options.clock.now()}-${processId}`, parcels))
      } catch (error) {
        log.error({ err: error, directory: spoolDirectory }, 'reports could not be written to the spool directory')
      }
    }
    for (const parcel of parcels) {
      this.#spool.release(parcel)
      if (written.has(parcel)) this.#ledger.stored(parcel.count)
      else this.#ledger.dropped('shutdown', parcel.count)
      this.#settled(parcel)
    }
  }

  #recover(directory: string): void {
    const { log, spoolShare = { process: 1, processes: 1 } } = this.#options
    try {
      mkdirSync(directory, { recursive: true })
      for (const { path, parcels, damaged } of readSpoolFiles(directory, spoolShare)) {
        if (damaged) log.warn({ path }, 'a spool file ends in a damaged record; what stands before it is used')
        const file = { path, left: parcels.length }
        for (const parcel of parcels) this.#recovered.set(parcel, file)
        if (parcels.length === 0) this.#removeFile(path)
        for (const parcel of parcels) {
          this.#ledger.accepted(parcel.count)
          this.#enqueue(parcel)
        }
      }
    } catch (error) {
      throw new IntermixError(
        'INVALID_SETTING',
        `the spool directory '${directory}' cannot be used; it must be a directory that this process may write to`,
        { cause: error },
      )
    }
  }

  #removeFile(path: string): void {
    try {
      removeSpoolFile(path)
    } catch (error) {
      this.#options.log.warn({ err: error, path }, 'a spool file that is done with could not be removed')
    }
  }
}
