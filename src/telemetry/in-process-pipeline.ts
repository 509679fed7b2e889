// The way of reports in one process, for a node without Redis: the same fan-out and the same delivery as in workers, on
// bounded queues in memory that end with the process.

import type { AnyHandler } from '../adapter-kit/define-adapter.ts'
import { reasonOf } from '../adapter-kit/exporter/failure-class.ts'
import { MemoryQueue } from '../adapter-kit/exporter/memory-queue.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { ReportFormats } from '../kernel/report.ts'
import type { DeliverBatch } from './deliver-batch.ts'
import type { ReportDispatch } from './expand.ts'
import { fanOut, type FanOutPorts } from './fan-out.ts'
import { deliverTargets, HandlerDelivery } from './handler-delivery.ts'
import type { HandlerTotals, Ledger } from './ledger.ts'
import { MemoryLedger } from './memory-ledger.ts'
import type { Parcel } from './parcel.ts'
import type { ParcelSink } from './parcel-road.ts'
import { type RuleVersion, RuleVersions } from './rule-versions.ts'

export interface InProcessPipelineOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  readonly formats: ReportFormats
  /** Compiles the report rules of a snapshot. */
  readonly dispatchFor: (snapshot: Snapshot) => ReportDispatch
  /**
   * Instances held, about: each handler of reports has an equal share. What is for a handler whose share is used up is
   * dropped while others have room; where none has, parcels wait in the intake's spool. 100 000 unless set.
   */
  readonly maxInstances?: number
}

const DEFAULT_MAX_INSTANCES = 100_000
/** How long what was accepted under former report rules may still come, and have their handlers deliver it. */
const FORMER_RULES_MS = 60_000

/** A handler's queue, and what it is delivered by. */
interface Lane {
  readonly delivery: HandlerDelivery
  readonly queue: MemoryQueue<DeliverBatch>
}

/** Takes parcels from the intake and delivers them. What fails for good is counted as dropped: nothing outlives it. */
export class InProcessPipeline implements ParcelSink {
  readonly #options: InProcessPipelineOptions
  readonly #ledger: Ledger
  readonly #fanOut: Omit<FanOutPorts, 'queueOf'>
  readonly #lanes = new Map<string, Lane>()
  readonly #readyListeners: (() => void)[] = []
  readonly #idleListeners = new Set<() => void>()
  readonly #versions = new RuleVersions()
  readonly #cancelForget = new Map<string, () => void>()
  #held = 0
  #expanding = 0
  #stopped = false

  constructor(options: InProcessPipelineOptions) {
    const { formats, log, meter } = options
    this.#options = options
    this.#ledger = new MemoryLedger(meter)
    this.#fanOut = {
      formats,
      log,
      ledger: this.#ledger,
    }
  }

  /** Takes over a config and its running handlers, the first one too. Batches under way end with their handler. */
  reload(snapshot: Snapshot, handlers: ReadonlyMap<string, AnyHandler>, hold?: RuleVersion['hold']): void {
    const rules = { vocabulary: snapshot.vocabulary, dispatch: this.#options.dispatchFor(snapshot) }
    const version = { digest: snapshot.reportDigest, rules, targets: deliverTargets(snapshot, handlers), hold }
    const before = this.#versions.current
    this.#versions.follow(version)
    if (before !== undefined && before.digest !== version.digest) this.#forgetLater(before)
    this.#retarget()
    this.#announce()
  }

  ready(): boolean {
    if (this.#versions.current === undefined || this.#stopped) return false
    const { targets } = this.#versions
    return targets.size === 0 || [...targets.keys()].some((handler) => !this.#isFull(handler))
  }

  onReady(callback: () => void): void {
    this.#readyListeners.push(callback)
    if (this.ready()) callback()
  }

  /** Evaluates a parcel and queues what comes of it. @throws IntermixError OVERLOADED before anything is done. */
  async add(parcel: Parcel): Promise<void> {
    const { rules } = this.#versions.of(parcel.rules ?? '') ?? this.#versions.current ?? {}
    if (rules === undefined || !this.ready()) throw new IntermixError('OVERLOADED', 'the report pipeline takes no more')
    this.#expanding++
    try {
      // Looked at once for a parcel, so that there is room for all of it or for nothing.
      const full = new Set([...this.#lanes.keys()].filter((handler) => this.#isFull(handler)))
      const queueOf = (handler: string) => ({
        add: async (batch: DeliverBatch) => !full.has(handler) && (await this.#queue(handler, batch)),
      })
      await fanOut(parcel, rules, { ...this.#fanOut, queueOf })
    } finally {
      this.#expanding--
      this.#settle()
    }
  }

  /** The ledger, by handler. */
  totals(): Promise<ReadonlyMap<string, HandlerTotals>> {
    return this.#ledger.read()
  }

  /** Takes nothing more, delivers what it can within `deadlineMs`, and counts the rest as dropped. */
  async stop(deadlineMs: number): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    for (const cancel of this.#cancelForget.values()) cancel()
    for (const { queue } of this.#lanes.values()) queue.hurry()
    await this.#untilIdle(deadlineMs)
    for (const { queue } of this.#lanes.values()) {
      for (const batch of queue.clear()) {
        await this.#drop(batch, 'shutdown')
        this.#release(batch.count)
      }
    }
  }

  /** Follows the handlers of all versions. */
  #retarget(): void {
    const { targets } = this.#versions
    for (const [name, lane] of this.#lanes) {
      lane.delivery.target = targets.get(name)
      this.#tidy(name, lane)
    }
  }

  #forgetLater({ digest }: RuleVersion): void {
    this.#cancelForget.get(digest)?.()
    const forget = () => {
      this.#cancelForget.delete(digest)
      this.#versions.drop(digest)
      this.#retarget()
    }
    this.#cancelForget.set(digest, this.#options.clock.after(FORMER_RULES_MS, forget))
  }

  #isFull(handler: string): boolean {
    const most = this.#options.maxInstances ?? DEFAULT_MAX_INSTANCES
    const held = this.#lanes.get(handler)?.queue.held ?? 0
    return held >= most / Math.max(1, this.#versions.targets.size)
  }

  async #queue(handler: string, batch: DeliverBatch): Promise<boolean> {
    this.#held += batch.count
    const isTaken = await this.#lane(handler).queue.add(batch)
    if (!isTaken) this.#held -= batch.count
    return isTaken
  }

  #lane(handler: string): Lane {
    const existing = this.#lanes.get(handler)
    if (existing !== undefined) return existing
    const options = { ...this.#options, ledger: this.#ledger, handler, mayRetry: () => !this.#stopped }
    const delivery = new HandlerDelivery(options, this.#versions.targets.get(handler))
    const queue = new MemoryQueue<DeliverBatch>({
      clock: this.#options.clock,
      limits: () => ({ concurrency: delivery.concurrency, queueInstances: delivery.limits.queueInstances }),
      sizeOf: (batch) => batch.count,
      consume: (batch, attempt) => delivery.consume(batch, attempt),
      ended: (batch, { why, error }) => {
        const { id, count } = batch
        const fields = { id, handler, reason: reasonOf(error), instances: count }
        this.#options.log.warn(fields, 'a batch could not be delivered')
        return this.#drop(batch, why)
      },
      released: (count) => {
        this.#tidy(handler, lane)
        this.#release(count)
      },
    })
    const lane = { delivery, queue }
    this.#lanes.set(handler, lane)
    return lane
  }

  /** Forgets a handler that has gone from the config, once nothing waits for it. */
  #tidy(handler: string, { delivery, queue }: Lane): void {
    if (delivery.target === undefined && queue.held === 0) this.#lanes.delete(handler)
  }

  async #drop({ id, handler, count }: DeliverBatch, reason: string): Promise<void> {
    await this.#ledger.settle({ id, handler, dropped: { [reason]: count } })
  }

  #release(count: number): void {
    this.#held -= count
    this.#announce()
    this.#settle()
  }

  #announce(): void {
    if (this.ready()) for (const listener of this.#readyListeners) listener()
  }

  #settle(): void {
    if (this.#held === 0 && this.#expanding === 0) for (const listener of this.#idleListeners) listener()
  }

  async #untilIdle(deadlineMs: number): Promise<void> {
    if (this.#held === 0 && this.#expanding === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#idleListeners.add(resolve)
    await within(this.#options.clock, deadlineMs, promise, () => undefined)
    this.#idleListeners.delete(resolve)
  }
}
