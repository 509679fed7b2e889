// The intake's way into Redis: bounded adds that a retry does not double, and a halt before Redis is full.

import type { Queue } from 'bullmq'
import { IntermixError } from '../kernel/errors.ts'
import { REPORT_QUEUE_WAITING, REPORTS_BACKPRESSURE } from '../kernel/metrics/reports.ts'
import type { Clock, Gauge, Logger, Meter } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { jobOptions } from './job-options.ts'
import { MemoryCredit } from './memory-credit.ts'
import { type Parcel, parcelToJob } from './parcel.ts'
import type { ParcelSink } from './parcel-road.ts'
import { type MemoryLook, QueueMemory } from './queue-memory.ts'
import { queueNames } from './queue-names.ts'
import { fullness, QueueStanding } from './queue-standing.ts'
import { RuleQueues } from './rule-queues.ts'

const WATCH_EVERY_MS = 1000
/** The rest is for the workers: what they make of reports is larger than reports are. */
const MARKS = { stopAt: 0.7, resumeAt: 0.65 }
const DEFAULT_HIGH_WATER = 100_000
/** A job in Redis by the bytes of its parcel: base64, and what Redis adds; and while it is read, it is there twice. */
const BYTES_PER_BYTE = 2
const BYTES_PER_JOB = 2048

export interface ReportQueueOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly prefix?: string
  /** Waiting jobs at which the node holds back; it resumes at half of it. 100 000 unless set. */
  readonly highWater?: number
  /** Where to tell of what is amiss; only the log unless set. */
  readonly standing?: QueueStanding
  /** Makes the queue of some report rules known to others, before the first parcel is added to it. */
  readonly note?: (rules: string) => Promise<void>
}

/** Puts parcels on the report queue. */
export class ReportQueue implements ParcelSink {
  readonly #options: ReportQueueOptions
  readonly #queues: RuleQueues
  readonly #memory: QueueMemory
  readonly #credit: MemoryCredit
  readonly #standing: QueueStanding
  readonly #listeners: (() => void)[] = []
  readonly #paused: Gauge
  readonly #waiting: Gauge
  readonly #unlisten: readonly (() => void)[]
  #backlog = false
  #wasReady = false
  #closed = false
  #cancelWatch: (() => void) | undefined

  constructor(options: ReportQueueOptions) {
    const { link, clock, meter } = options
    const names = queueNames(options.prefix)
    this.#options = options
    this.#queues = new RuleQueues(options)
    this.#memory = new QueueMemory({ link, queue: () => names.reports(this.#queues.latest) })
    this.#credit = new MemoryCredit(this.#memory, clock, MARKS)
    this.#standing = options.standing ?? new QueueStanding(options.log)
    this.#paused = meter.gauge(REPORTS_BACKPRESSURE)()
    this.#paused.set(0)
    this.#waiting = meter.gauge(REPORT_QUEUE_WAITING)()
    this.#unlisten = [
      this.#memory.onLook((look) => this.#looked(look)),
      link.onDown(() => {
        this.#wasReady = false
        this.#credit.reset()
      }),
      link.onUp(() => void this.#warmUp()),
    ]
    this.#watchLater()
  }

  /** Digests of the rules under which something was added lately. */
  get adds(): readonly string[] {
    return this.#queues.open
  }

  ready(): boolean {
    return !this.#holding && this.#options.link.state() === 'up'
  }

  onReady(callback: () => void): void {
    this.#listeners.push(callback)
    if (this.ready()) callback()
  }

  /** @throws IntermixError OVERLOADED where Redis has no room for it, REDIS_UNAVAILABLE */
  async add(parcel: Parcel): Promise<void> {
    if (this.#backlog) throw new IntermixError('OVERLOADED', 'too many jobs wait in the report queue')
    await this.#credit.acquire(parcel.bytes * BYTES_PER_BYTE + BYTES_PER_JOB)
    const add = (queue: Queue) => queue.add('reports', parcelToJob(parcel), jobOptions(parcel.id))
    await this.#queues.run(parcel.rules, add)
  }

  /** Stops watching; the link stays open. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelWatch?.()
    for (const unlisten of this.#unlisten) unlisten()
    this.#credit.close()
    await this.#queues.close()
  }

  get #holding(): boolean {
    return this.#backlog || this.#credit.holding
  }

  // The first add after a start loads scripts, which can take longer than an add may; and Redis may be full by now.
  async #warmUp(): Promise<void> {
    const warm = this.#queues.run(undefined, () => Promise.resolve())
    await Promise.allSettled([warm, this.#memory.look()])
    this.#announce()
  }

  #announce(): void {
    const ready = this.ready()
    const becameReady = ready && !this.#wasReady
    this.#wasReady = ready
    if (becameReady) for (const listener of this.#listeners) listener()
  }

  #watchLater(): void {
    if (this.#closed) return
    this.#cancelWatch = this.#options.clock.after(WATCH_EVERY_MS, () => {
      // A failed look says nothing: the link itself knows when Redis is away.
      const look = this.#options.link.state() === 'down' ? Promise.resolve() : this.#memory.look()
      void Promise.allSettled([look]).then(() => this.#watchLater())
    })
  }

  #looked(look: MemoryLook): void {
    const { highWater = DEFAULT_HIGH_WATER } = this.#options
    this.#waiting.set(look.waiting)
    this.#backlog = look.waiting > (this.#backlog ? highWater / 2 : highWater)
    const held = 'reports are held in this node'
    const full = `${fullness(look)}: ${held} until that is less than ${MARKS.resumeAt * 100} %`
    this.#standing.set('memory', this.#credit.holding ? `Redis is nearly full, ${full}` : undefined)
    const backlog = `more than ${highWater} jobs wait for workers: ${held} until it is half of that`
    this.#standing.set('backlog', this.#backlog ? backlog : undefined)
    this.#standing.checkPolicy(look)
    this.#paused.set(this.#holding ? 1 : 0)
    this.#announce()
  }
}
