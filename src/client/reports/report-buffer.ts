// Reports on their way to nodes: gathered, packed and sent, thousands of records a call. What nodes do not take waits within
// a bound; beyond it the oldest give way, and nodes are told how many.

import { within } from '../../kernel/deadline.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { BatchIds } from '../../kernel/batch-ids.ts'
import type { Clock, Logger, Meter, Random } from '../../kernel/ports.ts'
import type { ReportBatch } from '../../kernel/report.ts'
import type { ReportAck, ReportOutcome, ReportService } from '../../kernel/services.ts'
import type { Nodes } from '../nodes/nodes.ts'
import { BufferLedger, type BufferTotals } from './buffer-ledger.ts'
import { type Buffered, emptyCall, packedCall, weightOf } from './buffered.ts'
import { CallSender } from './call-sender.ts'
import { ReportLane } from './report-lane.ts'

const DEFAULT_BUFFER_BYTES = 16 * 1024 * 1024
/** A call, before it is compressed: nodes take messages of 4 MiB. */
const MAX_CALL_BYTES = 3 * 1024 * 1024
const MAX_BATCH_BYTES = 3.5 * 1024 * 1024
const DEFAULT_CALL_RECORDS = 4_000
const DEFAULT_WAIT_MS = 1_000
/** Where somebody waits for an answer. */
const HURRY_MS = 20
const PROMISE_TIMEOUT_MS = 10_000
const LATER = { retryAfterMs: 1_000 }
const ENDING = new IntermixError('NOT_READY', 'the process is shutting down')

export interface ReportBufferOptions {
  readonly nodes: Pick<Nodes, 'call'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** Name calls, as no other process does; the name of the process is that of the sender. */
  readonly ids: BatchIds
  /** Whose nodes take them, where tenants have a part of them. */
  readonly tenant?: string
  /** Whether reports of a format give way to others. */
  readonly isSparable: (format: string) => boolean
  /** Bound of what is held; 16 MiB unless set. What waits for longer is compressed. */
  readonly maxBytes?: number
  /** A call has so many records at most, unless a single batch has more; 4,000 unless set. */
  readonly callRecords?: number
  /** How long a record waits for others, in ms; a second unless set. */
  readonly waitMs?: number
}

/**
 * Takes batches of any format. `memory`: they are here, and may give way to newer ones. `queued` and `replicated`: a node has
 * taken them, and promises what it does. Access logs give way to all others, and to nothing else are others dropped for them.
 */
export class ReportBuffer implements ReportService {
  readonly #options: ReportBufferOptions
  readonly #maxBytes: number
  readonly #waitMs: number
  readonly #ledger: BufferLedger
  /** What is sent first, and what gives way first. */
  readonly #lanes: readonly [plain: ReportLane, sparable: ReportLane]
  readonly #sender: CallSender
  #bytes = 0
  #isPacking = false
  #cancelWake: (() => void) | undefined
  #isClosed = false
  #isOver = false
  #onEmpty: (() => void) | undefined

  constructor(options: ReportBufferOptions) {
    const { meter, maxBytes = DEFAULT_BUFFER_BYTES, callRecords = DEFAULT_CALL_RECORDS } = options
    this.#options = options
    this.#maxBytes = maxBytes
    this.#waitMs = options.waitMs ?? DEFAULT_WAIT_MS
    this.#ledger = new BufferLedger(meter)
    // A bound that is small leaves room for what comes while a call is on its way.
    const bounds = { maxRecords: callRecords, maxBytes: Math.min(MAX_CALL_BYTES, maxBytes / 4) }
    this.#lanes = [new ReportLane(bounds), new ReportLane(bounds)]
    this.#sender = new CallSender({
      ...options,
      ledger: this.#ledger,
      affinity: options.ids.process,
      tenant: options.tenant ?? '',
      onEnded: ({ message }) => {
        this.#bytes -= message.length
        this.#pump()
      },
    })
  }

  accept(batch: ReportBatch, ack: 'memory'): ReportOutcome
  accept(batch: ReportBatch, ack: ReportAck): ReportOutcome | Promise<ReportOutcome>
  accept(batch: ReportBatch, ack: ReportAck): ReportOutcome | Promise<ReportOutcome> {
    const isSparable = this.#options.isSparable(batch.format)
    const refusal = this.#refusalOf(batch, ack, isSparable)
    if (refusal !== undefined) return refusal
    const lane = this.#lanes[isSparable ? 1 : 0]
    if (ack !== 'memory') return this.#promise(batch, lane)
    this.#ledger.accepted(batch.count)
    this.#add(this.#entry(batch, undefined), lane)
    return undefined
  }

  totals(): BufferTotals {
    return this.#ledger.totals
  }

  /** Sends what is here, as long as that takes no longer than `deadlineMs`; what remains is dropped, counted and logged. */
  async flush(deadlineMs: number): Promise<BufferTotals> {
    const { clock, log } = this.#options
    this.#isClosed = true
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onEmpty = resolve
    this.#sender.hurry()
    this.#pump()
    await within(clock, deadlineMs, promise, () => undefined)
    this.#isOver = true
    this.#cancelWake?.()
    this.#sender.stop(ENDING)
    for (const lane of this.#lanes)
      for (let rest = lane.displace(); rest !== undefined; rest = lane.displace())
        for (const settle of rest.waiting) settle(ENDING)
    this.#ledger.dropped('shutdown', this.#ledger.totals.held)
    this.#bytes = 0
    this.#show()
    const totals = this.totals()
    const { full, refused, shutdown } = totals.dropped
    if (shutdown > 0) log.error({ lost: shutdown }, 'reports were lost at the end: no node has taken them')
    if (this.#ledger.hasUntold) log.error({ full, refused }, 'nodes have not heard of all reports that were dropped')
    return totals
  }

  #refusalOf(batch: ReportBatch, ack: ReportAck, isSparable: boolean): IntermixError | undefined {
    const { count } = batch
    const refuse = (reason: 'closed' | 'invalid' | 'full', error: IntermixError) => {
      this.#ledger.refused(reason, Number.isSafeInteger(count) ? count : 0)
      return error
    }
    if (this.#isClosed) return refuse('closed', ENDING)
    if (!Number.isSafeInteger(count) || count <= 0)
      return refuse('invalid', new IntermixError('INVALID_REQUEST', 'a batch of reports lacks a count'))
    const bytes = weightOf(batch)
    if (bytes > Math.min(MAX_BATCH_BYTES, this.#maxBytes))
      return refuse('invalid', new IntermixError('INVALID_REQUEST', `a report of ${bytes} bytes is too large`))
    if (this.#makeRoom(bytes, ack !== 'memory', isSparable)) return undefined
    return refuse('full', new IntermixError('OVERLOADED', 'no node takes reports, and no more are held', LATER))
  }

  /** The oldest give way, logs first. Who waits for an answer can come again: nothing gives way for it. */
  #makeRoom(bytes: number, isAwaited: boolean, isSparable: boolean): boolean {
    const [plain, sparable] = this.#lanes
    const held = this.#bytes + bytes - this.#maxBytes
    if (held <= 0) return true
    if (isAwaited || held > sparable.bytes + (isSparable ? 0 : plain.bytes)) return false
    const refusal = new IntermixError('OVERLOADED', 'newer reports took its place', LATER)
    while (this.#bytes + bytes > this.#maxBytes) {
      const displaced = sparable.displace() ?? plain.displace()
      if (displaced === undefined) return false
      this.#bytes -= displaced.bytes
      this.#ledger.dropped('full', displaced.accepted)
      for (const settle of displaced.waiting) settle(refusal)
    }
    return true
  }

  async #promise(batch: ReportBatch, lane: ReportLane): Promise<ReportOutcome> {
    const { clock } = this.#options
    const { promise, resolve } = Promise.withResolvers<ReportOutcome>()
    const entry = this.#entry(batch, resolve)
    this.#add(entry, lane)
    return await within(clock, PROMISE_TIMEOUT_MS, promise, () => {
      if (!lane.takeBack(entry))
        return new IntermixError('DEADLINE_EXCEEDED', 'whether the report was taken is not known yet', LATER)
      this.#bytes -= entry.bytes
      this.#ledger.refused('full', batch.count)
      return new IntermixError('OVERLOADED', 'no node takes reports', LATER)
    })
  }

  #entry(batch: ReportBatch, settle: Buffered['settle']): Buffered {
    const waitMs = settle === undefined ? this.#waitMs : Math.min(HURRY_MS, this.#waitMs)
    return { batch, bytes: weightOf(batch), due: this.#options.clock.monotonic() + waitMs, settle }
  }

  #add(entry: Buffered, lane: ReportLane): void {
    this.#bytes += entry.bytes
    this.#show()
    if (lane.add(entry)) this.#pump()
  }

  #pump(): void {
    this.#cancelWake?.()
    if (this.#isOver) return
    this.#pack()
    this.#send()
    this.#show()
    if (this.#onEmpty !== undefined && this.#isIdle && !this.#ledger.hasUntold) this.#onEmpty()
    // While a call is on its way, its end is waited for.
    const due = Math.min(...this.#lanes.map((lane) => lane.due))
    if (!this.#sender.isIdle || due === Number.POSITIVE_INFINITY) return
    const { clock } = this.#options
    this.#cancelWake = clock.after(due - clock.monotonic(), () => this.#pump())
  }

  get #isIdle(): boolean {
    return !this.#isPacking && this.#sender.isIdle && this.#lanes.every((lane) => lane.isEmpty)
  }

  /** Packs what is worth a call; less than that only where no other one has to be sent before it: more may come meanwhile. */
  #pack(): void {
    if (this.#isPacking) return
    const isFree = this.#sender.isIdle && this.#lanes.every((each) => !each.hasPacked)
    const now = this.#isClosed ? Number.MAX_VALUE : this.#options.clock.monotonic()
    const lane =
      this.#lanes.find((each) => each.isWorthACall) ??
      (isFree ? this.#lanes.find((each) => each.due <= now) : undefined)
    if (lane !== undefined) void this.#packFrom(lane)
  }

  async #packFrom(lane: ReportLane): Promise<void> {
    this.#isPacking = true
    const taken = lane.take()
    const call = await packedCall(this.#options.ids, taken)
    this.#isPacking = false
    if (this.#isOver) {
      for (const settle of call.waiting) settle(ENDING)
      return
    }
    for (const { bytes } of taken) this.#bytes -= bytes
    this.#bytes += call.message.length
    lane.addPacked(call)
    this.#pump()
  }

  #send(): void {
    if (!this.#sender.isIdle) return
    const [plain, sparable] = this.#lanes
    const call = plain.takePacked() ?? sparable.takePacked()
    if (call !== undefined) this.#sender.send(call)
    // Nothing comes with which it could be told.
    else if (this.#ledger.hasUntold && this.#isIdle) this.#sender.send(emptyCall(this.#options.ids))
  }

  #show(): void {
    this.#ledger.show(this.#bytes)
  }
}
