// The way of parcels out of the process's memory: to the queue when it takes them at once, else to the disk where there is
// one. What neither takes waits.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Random } from '../kernel/ports.ts'
import { RetryTimer } from '../kernel/retry-timer.ts'
import { Fifo } from './fifo.ts'
import type { Parcel } from './parcel.ts'
import type { DiskSpool } from './spool/disk-spool.ts'

/** Where parcels go: the queue in Redis, or the pipeline in this process. */
export interface ParcelSink {
  /** Whether it makes sense to try now: connected, and not told to hold back. */
  ready(): boolean
  /** Calls back whenever it becomes ready. */
  onReady(callback: () => void): void
  /** Settles soon. After a rejection the parcel is tried again with the same id, which must not double it. */
  add(parcel: Parcel): Promise<void>
  /** Where replicas can be waited for; without it nothing can be promised as replicated. */
  readonly replication?: ParcelReplication | undefined
}

/** Knows which parcels replicas of the queue have. */
export interface ParcelReplication {
  /** Why nothing can be promised now; `undefined` where it can. */
  readonly trouble: string | undefined
  /**
   * Resolves once replicas have a parcel that is marked as replicated, and was added; to be asked once, and soon after that.
   * @throws IntermixError REDIS_UNAVAILABLE: the queue may have it all the same.
   */
  confirm(parcel: Parcel): Promise<void>
}

/** A parcel that this process holds in memory. */
export interface Held {
  readonly parcel: Parcel
  /** Whether somebody waits to hear that it is safe. */
  readonly isAwaited: boolean
  /** On the monotonic clock. */
  readonly since: number
}

/** How a parcel left the memory: `queued`, `stored` on disk, or refused, which happens only to those that are awaited. */
export type Departure = 'queued' | 'stored' | IntermixError

export interface ParcelRoadOptions {
  readonly sink: ParcelSink
  readonly disk: DiskSpool | undefined
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly onLeft: (held: Held, how: Departure) => void
}

const MAX_IN_FLIGHT = 16
const RETRIES = { firstMs: 100, maxMs: 2_000 }
/** A burst that a queue in good order works off soon: it is not worth a way over the disk. */
const MAX_BACKLOG_BYTES = 1024 * 1024
/** How long somebody waits for a queue that does not take a parcel. */
const MAX_AWAITED_MS = 2_000
/** A disk that did not take a parcel is not tried again for so long. */
const DISK_RETRY_MS = 1_000

export class ParcelRoad {
  readonly #options: ParcelRoadOptions
  /** Those that somebody waits for go first. */
  readonly #awaited = new Fifo<Held>()
  readonly #patient = new Fifo<Held>()
  readonly #inFlight = new Set<Held>()
  readonly #storing = new Set<Held>()
  readonly #emptyListeners = new Set<() => void>()
  #backlogBytes = 0
  readonly #retry: RetryTimer
  #cancelExpiry: (() => void) | undefined
  #diskFailed: { readonly cancel: () => void } | undefined
  #toldOfDisk = false
  #stopped = false

  constructor(options: ParcelRoadOptions) {
    const { clock, random } = options
    this.#options = options
    this.#retry = new RetryTimer({ clock, random, ...RETRIES, retry: () => this.#route() })
    options.sink.onReady(() => {
      this.#retry.cancel()
      this.#retry.worked()
      this.#route()
    })
  }

  get isEmpty(): boolean {
    return this.#backlog === 0 && this.#inFlight.size === 0 && this.#storing.size === 0
  }

  /** Whether it makes sense to let somebody wait for a parcel's safety. */
  get canPromise(): boolean {
    return this.#options.sink.ready() || this.#options.disk !== undefined
  }

  add(held: Held): void {
    this.#queueOf(held).push(held)
    this.#backlogBytes += held.parcel.bytes
    this.#route()
  }

  /** Resolves when nothing is left here, or after `deadlineMs`. */
  async untilEmpty(deadlineMs: number): Promise<void> {
    if (this.isEmpty) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#emptyListeners.add(resolve)
    const cancel = this.#options.clock.after(deadlineMs, resolve)
    await promise
    cancel()
    this.#emptyListeners.delete(resolve)
  }

  /** Hands nothing more to the queue: what is here goes to the disk, what is in flight too, for its id keeps it from being doubled. */
  stop(): void {
    this.#stopped = true
    this.#retry.cancel()
    const unsettled = [...this.#inFlight].toReversed()
    this.#inFlight.clear()
    for (const held of unsettled) this.#putBack(held)
    this.#forgetDiskFailure()
    this.#route()
  }

  /** Everything that is still here, when there is no way left. */
  takeRest(): Held[] {
    this.#cancelExpiry?.()
    this.#forgetDiskFailure()
    const rest: Held[] = [...this.#storing]
    for (let held = this.#shift(); held !== undefined; held = this.#shift()) rest.push(held)
    this.#storing.clear()
    return rest
  }

  get #backlog(): number {
    return this.#awaited.length + this.#patient.length
  }

  #queueOf({ isAwaited }: Held): Fifo<Held> {
    return isAwaited ? this.#awaited : this.#patient
  }

  #shift(): Held | undefined {
    const held = this.#awaited.shift() ?? this.#patient.shift()
    if (held !== undefined) this.#backlogBytes -= held.parcel.bytes
    return held
  }

  #putBack(held: Held): void {
    this.#queueOf(held).unshift(held)
    this.#backlogBytes += held.parcel.bytes
  }

  #route(): void {
    for (let next = this.#first(); next !== undefined; next = this.#first()) {
      if (this.#maySend()) void this.#send(this.#take())
      else if (this.#mayStore(next.parcel)) void this.#store(this.#take())
      else break
    }
    this.#expire()
  }

  #first(): Held | undefined {
    return this.#awaited.first ?? this.#patient.first
  }

  /** The first one, which is there. */
  #take(): Held {
    return this.#shift() as Held
  }

  #maySend(): boolean {
    if (this.#stopped || this.#retry.isWaiting || this.#inFlight.size >= MAX_IN_FLIGHT) return false
    return this.#options.sink.ready()
  }

  #mayStore(parcel: Parcel): boolean {
    const { disk, sink } = this.#options
    if (disk === undefined || this.#diskFailed !== undefined) return false
    const isStuck = this.#stopped || this.#retry.isWaiting || !sink.ready()
    if (!isStuck && this.#backlogBytes <= MAX_BACKLOG_BYTES) return false
    if (disk.hasRoom(parcel)) return true
    this.#diskIsFull(
      new IntermixError('OVERLOADED', 'the spool directory holds as much as --spool-disk-max-bytes allows'),
    )
    return false
  }

  async #send(held: Held): Promise<void> {
    this.#inFlight.add(held)
    try {
      await this.#options.sink.add(held.parcel)
      if (!this.#inFlight.delete(held)) return
      this.#retry.worked()
      this.#left(held, 'queued')
    } catch (error) {
      if (!this.#inFlight.delete(held)) return
      this.#putBack(held)
      this.#options.log.debug({ err: error, parcel: held.parcel.id }, 'a report parcel waits')
      if (!this.#stopped) this.#retry.failed()
    }
    this.#route()
  }

  async #store(held: Held): Promise<void> {
    const { disk } = this.#options
    this.#storing.add(held)
    try {
      await disk?.append(held.parcel)
      if (!this.#storing.delete(held)) return
      this.#diskTakes()
      this.#left(held, 'stored')
    } catch (error) {
      if (!this.#storing.delete(held)) return
      this.#putBack(held)
      this.#diskIsFull(error)
    }
    this.#route()
  }

  #left(held: Held, how: Departure): void {
    this.#options.onLeft(held, how)
    if (this.isEmpty) for (const listener of this.#emptyListeners) listener()
  }

  /** Those that somebody has waited for too long are refused: the queue is away, and there is no disk to keep them. */
  #expire(): void {
    const { clock } = this.#options
    const now = clock.monotonic()
    for (let first = this.#awaited.first; first !== undefined; first = this.#awaited.first) {
      const leftMs = first.since + MAX_AWAITED_MS - now
      if (leftMs > 0 && !this.#stopped) {
        this.#cancelExpiry ??= clock.after(leftMs, () => {
          this.#cancelExpiry = undefined
          this.#route()
        })
        return
      }
      this.#left(this.#take(), new IntermixError('REDIS_UNAVAILABLE', 'the report queue cannot be reached', RETRY))
    }
    this.#cancelExpiry?.()
    this.#cancelExpiry = undefined
  }

  #diskIsFull(error: unknown): void {
    if (this.#diskFailed !== undefined) return
    const { clock, log, disk } = this.#options
    if (!this.#toldOfDisk)
      log.error({ err: error, folder: disk?.folder }, 'reports cannot be written to the spool directory')
    this.#toldOfDisk = true
    const cancel = clock.after(DISK_RETRY_MS, () => {
      this.#diskFailed = undefined
      this.#route()
    })
    this.#diskFailed = { cancel }
  }

  #diskTakes(): void {
    // What was on its way when the disk failed says nothing of it.
    if (!this.#toldOfDisk || this.#diskFailed !== undefined) return
    this.#toldOfDisk = false
    this.#options.log.info({}, 'reports are written to the spool directory again')
  }

  #forgetDiskFailure(): void {
    this.#diskFailed?.cancel()
    this.#diskFailed = undefined
  }
}

const RETRY = { retryAfterMs: 1_000 }
