// The node's side of reports: takes what it can keep, refuses the rest, and hands on as fast as the queue takes.

import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { ReportBatch, ReportFormats } from '../kernel/report.ts'
import type { ReportAck, ReportOutcome, ReportService } from '../kernel/services.ts'
import { Coalescer, type CoalescerBounds } from './coalescer.ts'
import { IntakeLedger, type IntakeRefusal, type IntakeTotals } from './intake-ledger.ts'
import { asPromised, bytesOf, type Parcel } from './parcel.ts'
import { type Departure, type Held, ParcelRoad, type ParcelSink } from './parcel-road.ts'
import type { DiskSpool } from './spool/disk-spool.ts'
import { SpoolReplay } from './spool-replay.ts'

export interface ReportIntakeOptions {
  readonly sink: ParcelSink
  /** Tell which reports are refused first where there is no room for all. */
  readonly formats: ReportFormats
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** Bound of what is held in memory, in bytes; 64 MB unless set. */
  readonly spoolBytes?: number
  /** When small batches go on their way; 100 records or 200 ms unless set. */
  readonly coalesce?: CoalescerBounds
  /** Where to keep what the queue does not take; in memory only unless set. */
  readonly disk?: DiskSpool | undefined
  /** Digest of the report rules of this moment: what is accepted now is evaluated under them, whenever that is. */
  readonly rules?: () => string | undefined
}

const DEFAULT_SPOOL_BYTES = 64 * 1024 * 1024
/** What is sparable is refused beyond this part of the bound, so that the rest is for what is not. */
const SPARABLE_SHARE = 0.8
const BATCH_ID = /^[A-Za-z0-9-]{1,128}$/
/** Awaited parcels on their way at once; while they are, further batches gather. */
const MAX_AWAITED = 2
/** Longer than the road keeps anybody waiting: for a sink that never settles. */
const PROMISE_TIMEOUT_MS = 10_000
const RETRY = { retryAfterMs: 1_000 }
/** Of the time for an end, the part in which the queue may take what is here; in the rest it is written to disk. */
const HAND_ON_SHARE = 0.5

/** Somebody who waits. */
interface Promised {
  readonly ack: Exclude<ReportAck, 'memory'>
  readonly settle: (outcome: ReportOutcome) => void
}

export class ReportIntake implements ReportService {
  readonly #options: ReportIntakeOptions
  readonly #capacity: number
  readonly #ledger: IntakeLedger
  readonly #road: ParcelRoad
  readonly #replay: SpoolReplay | undefined
  /** For reports that nobody waits for. */
  readonly #patient: Coalescer
  /** For those whose sender is waiting. */
  readonly #awaited: Coalescer
  readonly #promises = new Map<ReportBatch, Promised>()
  #bytes = 0
  #heldRecords = 0
  #awaitedUnderWay = 0
  #cancelTurn: (() => void) | undefined
  #isFull = false
  #closed = false

  constructor(options: ReportIntakeOptions) {
    const { clock, coalesce, disk, meter, spoolBytes = DEFAULT_SPOOL_BYTES } = options
    this.#options = options
    this.#capacity = spoolBytes
    this.#ledger = new IntakeLedger(meter)
    this.#road = new ParcelRoad({ ...options, disk, onLeft: (held, how) => this.#left(held, how) })
    this.#patient = new Coalescer(clock, (parcel) => this.#send(parcel, false), coalesce)
    this.#awaited = new Coalescer(clock, (parcel) => this.#send(parcel, true), coalesce)
    this.#replay =
      disk === undefined
        ? undefined
        : new SpoolReplay({
            ...options,
            disk,
            onHandedOn: (records) => this.#counted(() => this.#ledger.delivered(records)),
          })
  }

  /** Opens the disk spool, and begins with what lies there. @throws IntermixError INVALID_SETTING where it cannot be used. */
  async start(): Promise<void> {
    await this.#options.disk?.open({
      onLeft: () => this.#replay?.poke(),
      onRecovered: (records) => this.#counted(() => this.#ledger.recovered(records)),
      onLost: (records) => this.#counted(() => this.#ledger.dropped('damaged', records)),
    })
    this.#replay?.poke()
  }

  accept(batch: ReportBatch, ack?: 'memory'): ReportOutcome
  accept(batch: ReportBatch, ack: ReportAck): ReportOutcome | Promise<ReportOutcome>
  accept(batch: ReportBatch, ack: ReportAck = 'memory'): ReportOutcome | Promise<ReportOutcome> {
    const refusal = this.#refusalOf(batch, ack)
    if (refusal !== undefined) return refusal
    this.#bytes += bytesOf(batch)
    if (ack !== 'memory') return this.#promise(batch, ack)
    this.#heldRecords += batch.count
    this.#ledger.accepted(batch.count)
    this.#ledger.holds(this.#heldRecords)
    this.#patient.add(batch, this.#options.rules?.())
    return undefined
  }

  /** The ledger of this process; its sum holds at every moment. */
  totals(): IntakeTotals {
    return this.#ledger.totals(this.#heldRecords, this.#options.disk?.records ?? 0)
  }

  /** Bytes held in memory. */
  get heldBytes(): number {
    return this.#bytes
  }

  /**
   * Ends the intake: lets the queue take what it can, writes what remains to disk, and counts as dropped what remains even
   * then. All of it takes no longer than `deadlineMs`.
   */
  async flush(deadlineMs: number): Promise<IntakeTotals> {
    const { clock, disk } = this.#options
    const endAt = clock.monotonic() + deadlineMs
    const left = () => Math.max(0, endAt - clock.monotonic())
    this.#closed = true
    this.#replay?.stop()
    this.#cancelTurn?.()
    this.#patient.flush()
    this.#awaited.flush()
    await this.#road.untilEmpty(disk === undefined ? deadlineMs : deadlineMs * HAND_ON_SHARE)
    this.#road.stop()
    await this.#road.untilEmpty(left())
    for (const { parcel, isAwaited } of this.#road.takeRest()) this.#drop(parcel, isAwaited)
    const totals = this.totals()
    if (disk !== undefined) await within(clock, left(), disk.close(), () => undefined)
    this.#tell(totals)
    return totals
  }

  #refusalOf(batch: ReportBatch, ack: ReportAck): IntermixError | undefined {
    const { count, id, format } = batch
    if (this.#closed) return this.#refuse('closed', count, new IntermixError('NOT_READY', 'the node is shutting down'))
    if (!BATCH_ID.test(id) || !Number.isSafeInteger(count) || count <= 0)
      return this.#refuse(
        'invalid',
        0,
        new IntermixError('INVALID_REQUEST', 'a batch of reports lacks an id or a count'),
      )
    const bytes = bytesOf(batch)
    const isSparable = this.#options.formats.get(format)?.sparable === true
    const room = isSparable ? this.#capacity * SPARABLE_SHARE : this.#capacity
    if (bytes > room)
      return this.#refuse(
        'too-large',
        count,
        new IntermixError('INVALID_REQUEST', `a report of ${bytes} bytes is too large: --spool-max-bytes`),
      )
    if (this.#bytes + bytes > room) {
      this.#fill(true)
      return this.#refuse(
        'full',
        count,
        new IntermixError('OVERLOADED', 'the node holds as many reports as --spool-max-bytes allows', RETRY),
      )
    }
    if (ack !== 'memory' && !this.#road.canPromise)
      return this.#refuse(
        'unqueued',
        count,
        new IntermixError('REDIS_UNAVAILABLE', 'the report queue takes nothing now', RETRY),
      )
    const { sink } = this.#options
    const trouble = ack === 'replicated' && sink.ready() ? sink.replication?.trouble : undefined
    if (trouble !== undefined)
      return this.#refuse('unreplicated', count, new IntermixError('REDIS_UNAVAILABLE', trouble, RETRY))
    return undefined
  }

  #refuse(reason: IntakeRefusal, count: number, error: IntermixError): IntermixError {
    this.#ledger.refused(reason, count)
    return error
  }

  async #promise(batch: ReportBatch, ack: Promised['ack']): Promise<ReportOutcome> {
    const { promise, resolve } = Promise.withResolvers<ReportOutcome>()
    this.#promises.set(batch, { ack, settle: resolve })
    this.#awaited.add(batch, this.#options.rules?.())
    this.#hurry()
    return await within(this.#options.clock, PROMISE_TIMEOUT_MS, promise, () => {
      return new IntermixError('DEADLINE_EXCEEDED', 'whether the report was taken is not known yet', RETRY)
    })
  }

  /** Sends what is awaited at the end of this turn of the event loop, unless enough is under way for others to gather. */
  #hurry(): void {
    if (this.#awaited.held === 0 || this.#awaitedUnderWay >= MAX_AWAITED) return
    this.#cancelTurn ??= this.#options.clock.turn(() => {
      this.#cancelTurn = undefined
      if (this.#awaitedUnderWay < MAX_AWAITED) this.#awaited.flush()
    })
  }

  #send(parcel: Parcel, isAwaited: boolean): void {
    if (isAwaited) this.#awaitedUnderWay++
    const replicated = isAwaited && parcel.batches.some((batch) => this.#promises.get(batch)?.ack === 'replicated')
    const { clock } = this.#options
    this.#road.add({ parcel: asPromised(parcel, replicated), isAwaited, since: clock.monotonic() })
  }

  #left({ parcel, isAwaited }: Held, how: Departure): void {
    const isUnproved = how === 'queued' && parcel.replicated === true
    if (isUnproved) void this.#prove(parcel)
    else this.#release(parcel)
    const refusal = typeof how === 'string' ? undefined : how
    if (isAwaited) this.#keepPromises(parcel, refusal, isUnproved ? 'queued' : undefined)
    else this.#heldRecords -= parcel.count
    if (how === 'queued') this.#ledger.delivered(parcel.count)
    else if (how === 'stored') {
      this.#ledger.stored(parcel.count)
      this.#replay?.poke()
    }
    this.#show()
  }

  #release({ bytes }: Parcel): void {
    this.#bytes -= bytes
    this.#fill(false)
  }

  /** The queue has it: those whom that is not enough hear when its replicas have it, too. */
  async #prove(parcel: Parcel): Promise<void> {
    const proof = this.#options.sink.replication?.confirm(parcel)
    const refusal = await Promise.resolve(proof).then(
      () => undefined,
      (error: unknown) => IntermixError.from(error),
    )
    this.#release(parcel)
    for (const batch of parcel.batches) {
      if (refusal !== undefined && this.#promises.has(batch)) this.#ledger.refused('unreplicated', batch.count)
      this.#settle(batch, refusal)
    }
  }

  #counted(count: () => void): void {
    count()
    this.#show()
  }

  #show(): void {
    this.#ledger.holds(this.#heldRecords)
    this.#ledger.spooled(this.#options.disk?.records ?? 0)
  }

  /** @param only those who were promised no more than that */
  #keepPromises(parcel: Parcel, refusal: IntermixError | undefined, only?: Promised['ack']): void {
    this.#awaitedUnderWay--
    // What was promised nothing yet, and is refused, was never accepted.
    if (refusal === undefined) this.#ledger.accepted(parcel.count)
    else this.#ledger.refused('unqueued', parcel.count)
    for (const batch of parcel.batches) {
      if (only === undefined || this.#promises.get(batch)?.ack === only) this.#settle(batch, refusal)
    }
    this.#hurry()
  }

  #settle(batch: ReportBatch, outcome: ReportOutcome): void {
    this.#promises.get(batch)?.settle(outcome)
    this.#promises.delete(batch)
  }

  #drop(parcel: Parcel, isAwaited: boolean): void {
    this.#bytes -= parcel.bytes
    if (isAwaited) return this.#keepPromises(parcel, new IntermixError('NOT_READY', 'the node is shutting down'))
    this.#heldRecords -= parcel.count
    this.#counted(() => this.#ledger.dropped('shutdown', parcel.count))
  }

  /** Tells once when reports begin to be refused for want of room, and when there is room again. */
  #fill(isFull: boolean): void {
    if (this.#isFull === isFull || (!isFull && this.#bytes > this.#capacity / 2)) return
    this.#isFull = isFull
    const facts = { bytes: this.#bytes, records: this.#heldRecords }
    if (isFull) this.#options.log.warn(facts, 'reports are refused: as many are held as --spool-max-bytes allows')
    else this.#options.log.info(facts, 'reports are taken again')
  }

  #tell({ delivered, stored, dropped }: IntakeTotals): void {
    const { log, disk } = this.#options
    const lost = dropped.shutdown ?? 0
    const facts = { delivered, stored, folder: disk?.folder, lost }
    if (lost > 0) log.error(facts, 'reports were lost at the end: neither the queue nor a disk has taken them')
    else if (stored > 0) log.warn(facts, 'reports wait in the spool directory for the next start')
  }
}
