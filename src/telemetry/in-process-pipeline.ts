// Fan-out and delivery in this process, for a node without Redis: the same evaluation and the same calls as in workers,
// on bounded queues in memory that end with the process.

import type { Handler } from '../adapter-kit/define-adapter.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { ReportFormats } from '../kernel/report.ts'
import { callHandler, DEFAULT_RETRIES, isPermanent, reasonOf, type Retries, RETRY_JITTER } from './call-handler.ts'
import { FAN_OUT } from './dead-letters.ts'
import type { DeliverBatch } from './deliver-batch.ts'
import { DeliveryWatch } from './delivery-watch.ts'
import { expandParcel, type ReportDispatch } from './expand.ts'
import { type HandlerTotals, type Ledger, MemoryLedger, meteredLedger } from './ledger.ts'
import type { Parcel } from './parcel.ts'
import type { ParcelSink } from './report-intake.ts'

export interface InProcessPipelineOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  readonly formats: ReportFormats
  /** Compiles the report rules of a snapshot. */
  readonly dispatchFor: (snapshot: Snapshot) => ReportDispatch
  readonly retries?: Retries
  /** Instances held at most; beyond it parcels wait in the intake's spool. 100 000 unless set. */
  readonly maxInstances?: number
}

const DEFAULT_MAX_INSTANCES = 100_000
const CONCURRENCY_PER_HANDLER = 4

interface World {
  readonly snapshot: Snapshot
  readonly dispatch: ReportDispatch
  readonly handlers: ReadonlyMap<string, Handler>
}

interface Waiting {
  readonly batch: DeliverBatch
  readonly attempt: number
}

/** Takes parcels from the intake and delivers them. What fails for good is counted as dropped: nothing outlives it. */
export class InProcessPipeline implements ParcelSink {
  readonly #options: InProcessPipelineOptions
  readonly #ledger: Ledger
  readonly #lanes = new Map<string, { readonly queue: Waiting[]; active: number }>()
  readonly #watches = new Map<string, DeliveryWatch>()
  readonly #readyListeners: (() => void)[] = []
  readonly #idleListeners = new Set<() => void>()
  /** Batches that wait for their next try, with what ends the wait. */
  readonly #retrying = new Map<Waiting, () => void>()
  #world: World | undefined
  #held = 0
  #expanding = 0
  #stopped = false

  constructor(options: InProcessPipelineOptions) {
    this.#options = options
    this.#ledger = meteredLedger(new MemoryLedger(), options.meter)
  }

  /** Takes over a config and its running handlers, the first one too. Batches in work end with their handler. */
  reload(snapshot: Snapshot, handlers: ReadonlyMap<string, Handler>): void {
    for (const name of this.#watches.keys()) if (!handlers.has(name)) this.#watches.delete(name)
    this.#world = { snapshot, dispatch: this.#options.dispatchFor(snapshot), handlers }
    this.#announce()
  }

  ready(): boolean {
    const capacity = this.#options.maxInstances ?? DEFAULT_MAX_INSTANCES
    return this.#world !== undefined && !this.#stopped && this.#held < capacity
  }

  onReady(callback: () => void): void {
    this.#readyListeners.push(callback)
    if (this.ready()) callback()
  }

  /** Evaluates a parcel and queues what comes of it. @throws IntermixError OVERLOADED before anything is done. */
  async add(parcel: Parcel): Promise<void> {
    const world = this.#world
    if (world === undefined || !this.ready()) throw new IntermixError('OVERLOADED', 'the report pipeline takes no more')
    const { snapshot, dispatch } = world
    this.#expanding++
    try {
      await this.#count(FAN_OUT, 'accepted', parcel.count)
      const options = { formats: this.#options.formats, vocabulary: snapshot.vocabulary, dispatch }
      const { batches, failed } = await expandParcel(parcel, options)
      let lost = 0
      for (const { batch, reason } of failed) {
        lost += batch.count
        this.#options.log.warn({ id: batch.id, reason, records: batch.count }, 'reports could not be evaluated')
        await this.#count(FAN_OUT, 'dropped:unreadable', batch.count)
      }
      await this.#count(FAN_OUT, 'delivered', parcel.count - lost)
      for (const batch of batches) {
        await this.#count(batch.handler, 'accepted', batch.instances.length)
        this.#held += batch.instances.length
        this.#lane(batch.handler).queue.push({ batch, attempt: 1 })
        this.#run(batch.handler)
      }
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
    await this.#untilIdle(deadlineMs)
    for (const [{ batch }, cancel] of this.#retrying) {
      cancel()
      await this.#drop(batch.handler, batch, 'shutdown')
    }
    this.#retrying.clear()
    for (const [handler, lane] of this.#lanes) {
      for (const { batch } of lane.queue.splice(0)) await this.#drop(handler, batch, 'shutdown')
    }
  }

  #lane(handler: string) {
    let lane = this.#lanes.get(handler)
    if (lane === undefined) this.#lanes.set(handler, (lane = { queue: [], active: 0 }))
    return lane
  }

  #watch(handler: string): DeliveryWatch {
    let watch = this.#watches.get(handler)
    if (watch === undefined) this.#watches.set(handler, (watch = new DeliveryWatch({ ...this.#options, handler })))
    return watch
  }

  #run(handler: string): void {
    const lane = this.#lane(handler)
    while (lane.active < CONCURRENCY_PER_HANDLER) {
      const next = lane.queue.shift()
      if (next === undefined) return
      lane.active++
      void this.#deliver(next).finally(() => {
        lane.active--
        this.#run(handler)
        if (lane.active === 0 && lane.queue.length === 0) this.#lanes.delete(handler)
        this.#settle()
      })
    }
  }

  async #deliver({ batch, attempt }: Waiting): Promise<void> {
    const { clock, log } = this.#options
    const retries = this.#options.retries ?? DEFAULT_RETRIES
    const handler = this.#world?.handlers.get(batch.handler)
    if (handler === undefined) return this.#drop(batch.handler, batch, 'no-handler')
    const timeoutMs = this.#world?.snapshot.handlers.get(batch.handler)?.reportTimeoutMs ?? 0
    try {
      await callHandler(handler, batch, { clock, timeoutMs })
    } catch (error) {
      this.#watch(batch.handler).failed(error)
      if (!isPermanent(error) && attempt < retries.attempts && !this.#stopped) {
        this.#retry({ batch, attempt: attempt + 1 }, retries.firstDelayMs * 2 ** (attempt - 1))
        return
      }
      const fields = {
        id: batch.id,
        handler: batch.handler,
        reason: reasonOf(error),
        instances: batch.instances.length,
      }
      log.warn(fields, 'a batch could not be delivered')
      return this.#drop(batch.handler, batch, isPermanent(error) ? 'refused' : 'failed')
    }
    this.#watch(batch.handler).delivered()
    await this.#count(batch.handler, 'delivered', batch.instances.length)
    this.#release(batch)
  }

  #retry(waiting: Waiting, delayMs: number): void {
    const { clock, random } = this.#options
    const cancel = clock.after(delayMs * (1 - RETRY_JITTER * random()), () => {
      this.#retrying.delete(waiting)
      this.#lane(waiting.batch.handler).queue.push(waiting)
      this.#run(waiting.batch.handler)
    })
    this.#retrying.set(waiting, cancel)
  }

  async #drop(handler: string, batch: DeliverBatch, reason: string): Promise<void> {
    await this.#count(handler, `dropped:${reason}`, batch.instances.length)
    this.#release(batch)
  }

  #release(batch: DeliverBatch): void {
    this.#held -= batch.instances.length
    this.#announce()
  }

  #count(handler: string, event: Parameters<Ledger['count']>[2], instances: number): Promise<void> {
    return this.#ledger.count('', handler, event, instances)
  }

  #announce(): void {
    if (this.ready()) for (const listener of this.#readyListeners) listener()
  }

  #settle(): void {
    if (this.#held === 0 && this.#expanding === 0) for (const listener of this.#idleListeners) listener()
  }

  #untilIdle(deadlineMs: number): Promise<void> {
    if (this.#held === 0 && this.#expanding === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        cancel()
        this.#idleListeners.delete(done)
        resolve()
      }
      const cancel = this.#options.clock.after(deadlineMs, done)
      this.#idleListeners.add(done)
    })
  }
}
