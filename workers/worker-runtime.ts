// A worker's life: one fan-out, one delivery per handler, and the upkeep that no job triggers.

import { randomUUID } from 'node:crypto'
import type { AnyHandler } from '../src/adapter-kit/define-adapter.ts'
import { DEFAULT_EXPORT_LIMITS } from '../src/adapter-kit/exporter/limits.ts'
import type { Snapshot } from '../src/config/snapshot.ts'
import { REPORT_DEAD_LETTER_BYTES, REPORT_DEAD_LETTERS } from '../src/kernel/metrics/reports.ts'
import type { Clock, Logger, Meter, Random } from '../src/kernel/ports.ts'
import type { ReportFormats } from '../src/kernel/report.ts'
import type { RedisLink } from '../src/redis/connection.ts'
import { createRedisClient } from '../src/redis/create-client.ts'
import type { RedisAccess } from '../src/redis/redis-access.ts'
import type { Replication } from '../src/redis/replication.ts'
import { DeadLetters } from '../src/telemetry/dead-letters.ts'
import type { ReportDispatch } from '../src/telemetry/expand.ts'
import { deliverTargets } from '../src/telemetry/handler-delivery.ts'
import { FAN_OUT } from '../src/telemetry/ledger.ts'
import { queueNames } from '../src/telemetry/queue-names.ts'
import { QueueShards } from '../src/telemetry/queue-shards.ts'
import { QueueStanding } from '../src/telemetry/queue-standing.ts'
import { RedisLedger } from '../src/telemetry/redis-ledger.ts'
import type { RuleVersion } from '../src/telemetry/rule-versions.ts'
import type { ServiceWatch } from '../src/telemetry/service-watch.ts'
import { Deliver } from './deliver.ts'
import { ReportQueues } from './report-queues.ts'
import { lookAtShards, type Queues } from './shard-upkeep.ts'
import type { WorkerContext, WorkerTuning } from './worker-context.ts'
import { WorkerMemory } from './worker-memory.ts'

export interface WorkerRuntimeOptions {
  /** Redis of the queue, for BullMQ's own connections. */
  readonly redis: RedisAccess
  /** Link to the same Redis; stays open when the runtime stops. */
  readonly link: RedisLink
  /** Waits for replicas of that Redis, for what was promised as replicated. */
  readonly replication?: Replication
  readonly prefix?: string
  /** The mesh that `prefix` stands for. */
  readonly mesh?: string | undefined
  /** Tells who serves which queue; without it, former rules are kept and nothing is taken on. */
  readonly watch?: Pick<ServiceWatch, 'onLook' | 'last'>
  /** Hears when this worker has begun or ceased to take from queues. */
  readonly onChange?: () => void
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  readonly formats: ReportFormats
  /** Compiles the report rules of a snapshot. */
  readonly dispatchFor: (snapshot: Snapshot) => ReportDispatch
  readonly maxDeadLetters?: number
  /** Bounds in bytes of what one handler's batches, and all dead letters, may take in Redis; by its size unless set. */
  readonly handlerQueueMaxBytes?: number | undefined
  readonly deadLettersMaxBytes?: number | undefined
  /** Where to tell of what is amiss; only the log unless set. */
  readonly standing?: QueueStanding
  readonly tuning?: Partial<WorkerTuning>
  /** How many shards queues have; one unless set. */
  readonly shards?: QueueShards
}

const DEFAULT_TUNING: WorkerTuning = {
  concurrency: DEFAULT_EXPORT_LIMITS.concurrency,
  lockDurationMs: 30_000,
  stalledIntervalMs: 10_000,
  retries: DEFAULT_EXPORT_LIMITS.retries,
  orphanGraceMs: 60_000,
  formerRulesMs: 30_000,
  adoptMs: 300_000,
  maintenanceMs: 5_000,
  deafMs: 15_000,
}

/** How a worker uses a config. */
export interface ConfigUse {
  /** Keeps its handlers running until the function that it returns is called. */
  readonly hold?: RuleVersion['hold']
  /** Whether this worker evaluates reports; it does unless set. */
  readonly takesReports?: boolean
}

/** Drains the report queues with the handlers that it is given; starting and stopping those is the caller's business. */
export class WorkerRuntime {
  readonly #options: WorkerRuntimeOptions
  readonly #context: WorkerContext
  readonly #delivers = new Map<string, Deliver>()
  /** When a handler was first missed, on the monotonic clock. */
  readonly #missing = new Map<string, number>()
  readonly #reports: ReportQueues
  #config: Snapshot | undefined
  #cancelUpkeep: (() => void) | undefined
  #stopped = false

  constructor(options: WorkerRuntimeOptions) {
    const { link, clock, random, log, meter, prefix } = options
    this.#options = options
    const ledger = new RedisLedger(link, prefix, meter)
    const connection = createRedisClient(
      options.redis,
      { maxRetriesPerRequest: null, enableOfflineQueue: true, autoResendUnfulfilledCommands: true },
      random,
    )
    connection.on('error', (error: Error) => log.debug({ err: error }, 'Redis error'))
    const names = queueNames(prefix)
    const { shards = new QueueShards({ link, clock, prefix, own: 1 }) } = options
    const { handlerQueueMaxBytes, deadLettersMaxBytes, standing = new QueueStanding(log) } = options
    const bounds = { handlerQueueMaxBytes, deadLettersMaxBytes }
    const memory = new WorkerMemory({ link, clock, random, meter, standing, queue: names.reports(), ...bounds })
    this.#context = {
      connection,
      link,
      ...(options.replication === undefined ? {} : { replication: options.replication }),
      names,
      shards,
      memory,
      mesh: options.mesh,
      ledger,
      deadLetters: new DeadLetters({
        link,
        ledger,
        maxBytes: () => memory.deadLetterShare,
        ...(prefix === undefined ? {} : { prefix }),
        ...(options.maxDeadLetters === undefined ? {} : { maxLetters: options.maxDeadLetters }),
      }),
      clock,
      random,
      log: log.child({ worker: randomUUID().slice(0, 8) }),
      meter,
      tuning: { ...DEFAULT_TUNING, ...options.tuning },
    }
    this.#reports = new ReportQueues(this.#context, options.formats)
    options.watch?.onLook((services) => {
      if (!this.#stopped && this.#reports.looked(services)) this.#retarget()
    })
  }

  /** Starts taking jobs. With Redis away it waits in the background. Only once. */
  start(snapshot: Snapshot, handlers: ReadonlyMap<string, AnyHandler>, more: ConfigUse = {}): void {
    this.reload(snapshot, handlers, more)
    this.#upkeepLater()
  }

  /** Follows a new config; jobs in work end under the old one, and so do reports that were accepted under its rules. */
  reload(
    snapshot: Snapshot,
    handlers: ReadonlyMap<string, AnyHandler>,
    { hold, takesReports = true }: ConfigUse = {},
  ): void {
    const { concurrency, retries } = this.#context.tuning
    const rules = { vocabulary: snapshot.vocabulary, dispatch: this.#options.dispatchFor(snapshot) }
    const targets = deliverTargets(snapshot, handlers, { concurrency, retries })
    this.#config = snapshot
    const version = { digest: snapshot.reportDigest, rules, targets, hold }
    this.#reports.follow(version, snapshot.handlers, takesReports)
    this.#retarget()
  }

  /** Digests of the report rules under which this worker evaluates. */
  get evaluates(): readonly string[] {
    return this.#reports.evaluates
  }

  /** Full names of the handlers to which it delivers. */
  get delivers(): readonly string[] {
    return [...this.#delivers].flatMap(([name, { target }]) => (target === undefined ? [] : [name]))
  }

  /** Lets jobs in work end for at most `deadlineMs`; other workers take over what did not. */
  async stop(deadlineMs: number): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    this.#cancelUpkeep?.()
    this.#context.memory.close()
    await Promise.all([
      this.#reports.stop(deadlineMs),
      ...[...this.#delivers.values()].map((deliver) => deliver.stop(deadlineMs)),
    ])
    await this.#context.deadLetters.close()
    this.#context.connection.disconnect()
  }

  #retarget(): void {
    const { targets } = this.#reports
    for (const [name, target] of targets) {
      this.#missing.delete(name)
      const deliver = this.#delivers.get(name)
      if (deliver === undefined) this.#delivers.set(name, new Deliver(this.#context, name, target))
      else deliver.retarget(target)
    }
    for (const [name, deliver] of this.#delivers) {
      if (targets.has(name)) continue
      // Its jobs wait: the handler may be back with the next config, or be known to other workers.
      this.#delivers.delete(name)
      void deliver.stop(this.#context.tuning.lockDurationMs)
    }
    this.#options.onChange?.()
  }

  /** Whether a handler is nobody's: no config here has it, and no living worker delivers to it. */
  #isOrphan(name: string): boolean {
    if (this.#config?.handlers.has(name)) return false
    const { watch } = this.#options
    return watch === undefined || watch.last?.members.every(({ delivers }) => !delivers.includes(name)) === true
  }

  async #lookAtShards(): Promise<void> {
    if (this.#context.link.state() === 'up') await lookAtShards(this.#context, () => this.#mayHold())
  }

  /** Queues in which something may lie; `undefined` where that is not known. */
  async #mayHold(): Promise<Queues | undefined> {
    const { watch } = this.#options
    if (watch !== undefined && watch.last === undefined) return undefined
    const rules = watch?.last?.queues.flatMap((queue) => queue.rules ?? []) ?? []
    const handlers = [...(await this.#context.ledger.read()).keys()].filter((name) => name !== FAN_OUT)
    return { rules: new Set([...this.evaluates, ...rules]), handlers }
  }

  #upkeepLater(): void {
    if (this.#stopped) return
    this.#cancelUpkeep = this.#context.clock.after(this.#context.tuning.maintenanceMs, () => {
      // Apart from each other: they ask different servers of a cluster, one of which may be away.
      void Promise.all([this.#upkeep(), this.#lookAtShards()])
        .catch((error: unknown) => this.#context.log.debug({ err: error }, 'upkeep of the report queues failed'))
        .then(() => this.#upkeepLater())
    })
  }

  async #upkeep(): Promise<void> {
    if (this.#context.link.state() === 'down') return
    const { clock, ledger, tuning, deadLetters, memory, meter } = this.#context
    const handlers = await ledger.read()
    memory.held = new Map([...handlers].map(([name, { bytes }]) => [name, bytes]))
    meter
      .gauge(REPORT_DEAD_LETTERS)()
      .set(await deadLetters.count())
    meter
      .gauge(REPORT_DEAD_LETTER_BYTES)()
      .set(await deadLetters.bytes())
    for (const [name, totals] of handlers) {
      if (name === FAN_OUT || this.#stopped) continue
      const waiting = totals.held - totals.deadLetters > 0
      const deliver = this.#delivers.get(name)
      if (deliver === undefined && waiting && this.#isOrphan(name)) {
        const since = this.#missing.get(name) ?? clock.monotonic()
        this.#missing.set(name, since)
        if (clock.monotonic() - since < tuning.orphanGraceMs) continue
        this.#delivers.set(name, new Deliver(this.#context, name, undefined))
      } else if (deliver !== undefined && deliver.target === undefined && !waiting) {
        this.#delivers.delete(name)
        this.#missing.delete(name)
        await deliver.stop(tuning.lockDurationMs)
      } else if (deliver === undefined) {
        this.#missing.delete(name)
      }
    }
  }
}
