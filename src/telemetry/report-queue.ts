// The intake's way into Redis: bounded adds that a retry does not double, and a halt before Redis is full.

import { REPORT_QUEUE_WAITING, REPORTS_BACKPRESSURE } from '../kernel/metrics/reports.ts'
import type { Clock, Gauge, Logger, Meter } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { jobOptions } from './job-options.ts'
import { LinkQueue } from './link-queue.ts'
import { type Parcel, parcelToJob } from './parcel.ts'
import { queueNames } from './queue-names.ts'
import type { ParcelSink } from './report-intake.ts'

const ADD_TIMEOUT_MS = 50
const WATCH_EVERY_MS = 1000
const WATCH_TIMEOUT_MS = 500
const PAUSE_AT_MEMORY = 0.7
const RESUME_AT_MEMORY = 0.5
const DEFAULT_HIGH_WATER = 100_000

export interface ReportQueueOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly prefix?: string
  /** Waiting jobs at which the node holds back; it resumes at half of it. 100 000 unless set. */
  readonly highWater?: number
}

/** Puts parcels on the report queue. */
export class ReportQueue implements ParcelSink {
  readonly #options: ReportQueueOptions
  readonly #queue: LinkQueue
  readonly #listeners: (() => void)[] = []
  readonly #paused: Gauge
  readonly #waiting: Gauge
  #holding = false
  #closed = false
  #cancelWatch: (() => void) | undefined

  constructor(options: ReportQueueOptions) {
    const names = queueNames(options.prefix)
    this.#options = options
    this.#queue = new LinkQueue(options.link, names.reports(), names.keyPrefix(names.reports()))
    this.#paused = options.meter.gauge(REPORTS_BACKPRESSURE)()
    this.#paused.set(0)
    this.#waiting = options.meter.gauge(REPORT_QUEUE_WAITING)()
    options.link.onUp(() => void this.#warmUp())
    this.#watchLater()
  }

  ready(): boolean {
    return !this.#holding && this.#options.link.state() === 'up'
  }

  onReady(callback: () => void): void {
    this.#listeners.push(callback)
    if (this.ready()) callback()
  }

  async add(parcel: Parcel): Promise<void> {
    await this.#queue.run((queue) => queue.add('reports', parcelToJob(parcel), jobOptions(parcel.id)), ADD_TIMEOUT_MS)
  }

  /** Stops watching; the link stays open. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelWatch?.()
    await this.#queue.close()
  }

  // The first add after a start loads scripts, which can take longer than an add may.
  async #warmUp(): Promise<void> {
    await this.#queue.run(() => Promise.resolve(), WATCH_TIMEOUT_MS).catch(() => undefined)
    this.#announce()
  }

  #announce(): void {
    if (this.ready()) for (const listener of this.#listeners) listener()
  }

  #watchLater(): void {
    if (this.#closed) return
    this.#cancelWatch = this.#options.clock.after(WATCH_EVERY_MS, () => {
      // A failed look says nothing: the link itself knows when Redis is away.
      void this.#watch().then(
        () => this.#watchLater(),
        () => this.#watchLater(),
      )
    })
  }

  async #watch(): Promise<void> {
    if (this.#options.link.state() === 'down') return
    const [info, waiting] = await Promise.all([
      this.#options.link.run((client) => client.info('memory'), WATCH_TIMEOUT_MS),
      this.#queue.run((queue) => queue.getWaitingCount(), WATCH_TIMEOUT_MS),
    ])
    this.#waiting.set(waiting)
    const memory = memoryShare(info)
    const highWater = this.#options.highWater ?? DEFAULT_HIGH_WATER
    const full = memory >= PAUSE_AT_MEMORY || waiting > highWater
    const relaxed = memory < RESUME_AT_MEMORY && waiting <= highWater / 2
    if (!this.#holding && full) {
      this.#holding = true
      this.#options.log.warn({ memory, waiting }, 'the report queue is nearly full: reports are held in memory')
    } else if (this.#holding && relaxed) {
      this.#holding = false
      this.#options.log.info({ memory, waiting }, 'the report queue has room again')
      this.#announce()
    }
    this.#paused.set(this.#holding ? 1 : 0)
  }
}

/** Used memory as a share of the limit; 0 where there is no limit. */
function memoryShare(info: string): number {
  const read = (field: string) => Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1] ?? 0)
  const limit = read('maxmemory')
  return limit === 0 ? 0 : read('used_memory') / limit
}
