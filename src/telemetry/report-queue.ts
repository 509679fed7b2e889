// The intake's way into Redis: bounded adds that a retry does not double, and a halt before Redis is full.

import type { Queue } from 'bullmq'
import { IntermixError } from '../kernel/errors.ts'
import { REPORT_QUEUE_WAITING, REPORTS_BACKPRESSURE } from '../kernel/metrics/reports.ts'
import type { Clock, Gauge, Logger, Meter } from '../kernel/ports.ts'
import { inCompany, stretchedFor } from '../redis/company.ts'
import type { RedisLink } from '../redis/connection.ts'
import type { Replication, Written } from '../redis/replication.ts'
import { jobOptions } from './job-options.ts'
import { type Parcel, parcelToJob, processOf } from './parcel.ts'
import type { ParcelReplication, ParcelSink } from './parcel-road.ts'
import { queueNames } from './queue-names.ts'
import { QueueShards, shardOf } from './queue-shards.ts'
import { fullness, QueueStanding } from './queue-standing.ts'
import { REPORT_MARKS, ReportRoom } from './report-room.ts'
import { RuleQueues } from './rule-queues.ts'
import { ShardChoice } from './shard-choice.ts'

const WATCH_EVERY_MS = 1000
/** While nothing is added and nothing is held back; the first parcel after that is looked for itself. */
const IDLE_WATCH_EVERY_MS = 10_000
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
  /** How many shards the queue has; one unless set. */
  readonly shards?: QueueShards
  /** Whether a handler wants its reports in order: then all of a process go to one shard, and wait for it. */
  readonly ordered?: () => boolean
  /** Waits for replicas of what is promised as replicated; unset where nothing is. */
  readonly replication?: Replication | undefined
}

/** Puts parcels on the report queue. */
export class ReportQueue implements ParcelSink {
  readonly #options: ReportQueueOptions
  readonly #queues: RuleQueues
  readonly #shards: QueueShards
  readonly #choice: ShardChoice
  readonly #room: ReportRoom
  readonly #standing: QueueStanding
  readonly #listeners: (() => void)[] = []
  readonly #paused: Gauge
  readonly #waiting: Gauge
  readonly #unlisten: readonly (() => void)[]
  readonly #names: ReturnType<typeof queueNames>
  readonly #written = new WeakMap<Parcel, Written<unknown>>()
  #backlog = false
  /** Whether a server throws reports away when it is full. */
  #evicts = false
  #addedAt = Number.NEGATIVE_INFINITY
  #isIdle = false
  #wasReady = false
  #closed = false
  #cancelWatch: (() => void) | undefined

  constructor(options: ReportQueueOptions) {
    const { link, clock, meter, shards = new QueueShards({ ...options, own: 1 }) } = options
    const names = queueNames(options.prefix)
    this.#names = names
    this.#options = options
    this.#queues = new RuleQueues(options)
    this.#shards = shards
    this.#room = new ReportRoom({
      link,
      clock,
      queueOf: (shard) => names.reports(this.#queues.latest, shard),
      shards: shards.own,
      onLook: () => this.#looked(),
    })
    this.#choice = new ShardChoice({ clock, shards, isFull: (shard) => this.#isUnfit(shard) })
    this.#standing = options.standing ?? new QueueStanding(options.log)
    this.#paused = meter.gauge(REPORTS_BACKPRESSURE)()
    this.#paused.set(0)
    this.#waiting = meter.gauge(REPORT_QUEUE_WAITING)()
    this.#unlisten = [
      link.onDown(() => {
        this.#wasReady = false
        this.#room.reset()
      }),
      link.onUp(() => void this.#warmUp()),
    ]
    options.replication?.onTrouble(() => this.#standing.set('replicas', this.#replicasMissing()))
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
    this.#addedAt = this.#options.clock.monotonic()
    if (this.#isIdle) this.#watchLater()
    if (this.#backlog) throw new IntermixError('OVERLOADED', 'too many jobs wait in the report queue')
    const add = (queue: Queue) => queue.add('reports', parcelToJob(parcel), jobOptions(parcel.id))
    const addTo = async (shard: number) => {
      await this.#room.acquire(shard, parcel.bytes * BYTES_PER_BYTE + BYTES_PER_JOB)
      const run = () => this.#queues.run(parcel.rules, shard, add)
      const { replication } = this.#options
      if (replication === undefined || parcel.replicated !== true) return await run()
      const written = await replication.write(this.#metaKey(parcel.rules, shard), run)
      this.#written.set(parcel, written)
      return written.value
    }
    await this.#choice.add(parcel.id, addTo, this.#onlyShardOf(parcel))
  }

  get replication(): ParcelReplication | undefined {
    const { replication } = this.#options
    if (replication === undefined) return undefined
    const lacking = this.#lacking
    const trouble = lacking.includes(undefined) ? undefined : lacking[0]
    return { trouble, confirm: (parcel) => this.#confirm(parcel) }
  }

  /** Stops watching; the link stays open. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelWatch?.()
    for (const unlisten of this.#unlisten) unlisten()
    this.#room.close()
    await this.#queues.close()
  }

  #metaKey(rules: string | undefined, shard: number): string {
    return this.#names.metaKey(this.#names.reports(rules, shard))
  }

  /** Of each shard, why nothing there can be promised as replicated. */
  get #lacking(): readonly (string | undefined)[] {
    return Array.from({ length: this.#shards.own }, (_, shard) => this.#lackOf(shard))
  }

  #lackOf(shard: number): string | undefined {
    return this.#options.replication?.troubleOf(this.#metaKey(this.#queues.latest, shard))
  }

  #replicasMissing(): string | undefined {
    const lacking = this.#lacking
    const reasons = lacking.filter((each) => each !== undefined)
    if (reasons.length === 0) return undefined
    const most = 'reports that are promised as replicated'
    if (reasons.length === lacking.length) return `${most} are refused: ${reasons[0]}`
    return `${most} go to ${lacking.length - reasons.length} of ${lacking.length} shards of the queue only: ${reasons[0]}`
  }

  #isUnfit(shard: number): boolean {
    return this.#room.isFull(shard) || this.#lackOf(shard) !== undefined
  }

  async #confirm(parcel: Parcel): Promise<void> {
    await this.#written.get(parcel)?.replicated()
    this.#written.delete(parcel)
  }

  get #holding(): boolean {
    return this.#backlog || this.#room.full.length === this.#shards.own
  }

  /** Whether nothing is amiss whose end is to be told soon. */
  get #isQuiet(): boolean {
    return !this.#backlog && !this.#evicts && this.#room.full.length === 0
  }

  /** What names no rules has one queue without shards; in most installations nothing ever comes there. */
  #onlyShardOf({ id, rules }: Parcel): number | undefined {
    if (rules === undefined) return 0
    return this.#options.ordered?.() === true ? shardOf(processOf(id), this.#shards.own) : undefined
  }

  // The first add after a start loads scripts, which can take longer than an add may; and Redis may be full by now.
  async #warmUp(): Promise<void> {
    const warm = this.#queues.run(undefined, 0, () => Promise.resolve())
    await Promise.allSettled([warm, this.#room.look()])
    for (let shard = 0; shard < this.#shards.own; shard++)
      void this.#options.replication?.probe(this.#metaKey(this.#queues.latest, shard))
    this.#announce()
  }

  #announce(): void {
    const ready = this.ready()
    const becameReady = ready && !this.#wasReady
    this.#wasReady = ready
    if (becameReady) for (const listener of this.#listeners) listener()
  }

  #watchLater(): void {
    this.#cancelWatch?.()
    if (this.#closed) return
    const { link, clock } = this.#options
    this.#isIdle = this.#isQuiet && clock.monotonic() - this.#addedAt >= IDLE_WATCH_EVERY_MS
    const everyMs = this.#isIdle ? stretchedFor(link, IDLE_WATCH_EVERY_MS) : WATCH_EVERY_MS
    this.#cancelWatch = inCompany(link, clock, everyMs, () => {
      // A failed look says nothing: the link itself knows when Redis is away.
      const look = this.#options.link.state() === 'down' ? Promise.resolve() : this.#room.look()
      void look.then(() => this.#watchLater())
    })
  }

  #looked(): void {
    const { highWater = DEFAULT_HIGH_WATER } = this.#options
    const { looks, full } = this.#room
    const waiting = looks.reduce((sum, look) => sum + look.waiting, 0)
    this.#waiting.set(waiting)
    this.#backlog = waiting > (this.#backlog ? highWater / 2 : highWater)
    this.#standing.set(
      'memory',
      full[0] && `Redis is nearly full, ${fullness(full[0])}: ${this.#consequence(full.length)}`,
    )
    const backlog = `more than ${highWater} jobs wait for workers: reports are held in this node until it is half of that`
    this.#standing.set('backlog', this.#backlog ? backlog : undefined)
    this.#evicts = looks.some((look) => this.#standing.checkPolicy(look))
    this.#paused.set(this.#holding ? 1 : 0)
    if (this.#isIdle && !this.#isQuiet) this.#watchLater()
    this.#announce()
  }

  #consequence(full: number): string {
    const { own } = this.#shards
    if (full < own) return `reports go to the ${own - full} of ${own} shards of the queue that lie elsewhere`
    return `reports are held in this node until that is less than ${REPORT_MARKS.resumeAt * 100} %`
  }
}
