// Puts together the way of reports: from the intake to the queue, and from the queue (or this process) to the handlers.

import type { AnyHandler } from '../adapter-kit/define-adapter.ts'
import { tellLost, untilDelivered, waitingOf } from './last-deliveries.ts'
import type { Settings } from '../settings/settings.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { Health } from '../observe/health.ts'
import type { PolicyState } from '../policy/handler-table.ts'
import { ReportDispatcher } from '../policy/report-dispatch.ts'
import { chooseHandlers } from './handler-choice.ts'
import type { RedisLink } from '../redis/connection.ts'
import { withReason } from '../redis/trouble.ts'
import type { Replication } from '../redis/replication.ts'
import { promisesReplicas } from './report-choices.ts'
import type { ReportDispatch } from '../telemetry/expand.ts'
import { ownBooks, sharedBooks } from './ledger-books.ts'
import { InProcessPipeline } from '../telemetry/in-process-pipeline.ts'
import { MeshPresence } from '../telemetry/mesh-presence.ts'
import type { ProcessEntry } from '../telemetry/process-registry.ts'
import { meshPrefix, queueNames } from '../telemetry/queue-names.ts'
import { withServices } from '../telemetry/queue-services.ts'
import { orderedOf } from '../telemetry/handler-delivery.ts'
import { QueueShards } from '../telemetry/queue-shards.ts'
import { RedisLedger } from '../telemetry/redis-ledger.ts'
import { QueueStanding } from '../telemetry/queue-standing.ts'
import { ReportIntake } from '../telemetry/report-intake.ts'
import { DiskSpool } from '../telemetry/spool/disk-spool.ts'
import { ReportQueue } from '../telemetry/report-queue.ts'
import { REPORT_FORMATS as formats } from '../wire/report-formats.ts'
import type { WorkerRuntime, WorkerRuntimeOptions } from '../../workers/worker-runtime.ts'

export interface ReportsOptions {
  readonly settings: Settings
  /** Name of this process, as the ids of its batches have it. */
  readonly process: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  readonly queueLink: RedisLink | undefined
  readonly queueReplication?: Replication | undefined
  readonly createWorker: CreateWorker | undefined
  readonly health: Health
}

export type CreateWorker = (options: WorkerRuntimeOptions) => WorkerRuntime

/** What drains the queues in Redis, for a process that does. It is loaded late: a node that has no queue needs none of it. */
export async function loadWorker({ role, queueRedis }: Settings): Promise<CreateWorker | undefined> {
  if (role === 'node' || queueRedis === undefined) return undefined
  const { WorkerRuntime } = await import('../../workers/worker-runtime.ts')
  return (options) => new WorkerRuntime(options)
}

export interface Reports {
  /** Takes reports; `undefined` in a worker. */
  readonly intake: ReportIntake | undefined
  /** Opens the disk spool. Rejects with INVALID_SETTING where it cannot be used. */
  start(): Promise<void>
  /** Follows the config; the first call begins the work. */
  follow(state: PolicyState): void
  readonly debug: ReadonlyMap<string, () => unknown>
  /** Rejects, when all has ended, where reports were lost. */
  stop(deadlineMs: number): Promise<void>
}

/** Of the time for an end, the part for what was accepted to leave this process; the rest is for what is being delivered. */
const INTAKE_SHARE = 0.6
/** Of what is left then, the part in which a worker empties a Redis that ends with this process. */
const PRIVATE_SHARE = 0.7

/** `undefined` where no folder is set: reports are held in memory only. */
function diskSpool({ settings, clock, random, log }: ReportsOptions): DiskSpool | undefined {
  const { spoolDir: directory, spoolDiskMaxBytes: maxBytes, spoolFsync: fsync, nodeId: processId } = settings
  return directory === undefined
    ? undefined
    : new DiskSpool({ directory, maxBytes, fsync, clock, random, log, processId })
}

export function createReports(options: ReportsOptions): Reports {
  const { settings, clock, random, log, meter, queueLink, queueReplication, health, createWorker } = options
  const { queueRedis, role } = settings
  const prefix = meshPrefix(settings.redisPrefix, settings.mesh)
  const dispatcher = new ReportDispatcher({ clock, random, meter, log })
  const states = new WeakMap<Snapshot, PolicyState>()
  const dispatchFor =
    (snapshot: Snapshot): ReportDispatch =>
    (bag, random) => {
      const state = states.get(snapshot)
      return state === undefined ? [] : dispatcher.dispatch(state, bag, random)
    }
  const common = { clock, random, log, meter, formats, dispatchFor }
  const queued = queueLink !== undefined && queueRedis !== undefined
  const standing = queued ? new QueueStanding(log, (detail) => health.set('report queue', true, detail)) : undefined
  const shared = { ...(standing === undefined ? {} : { standing }), prefix }
  const pipeline = queued ? undefined : new InProcessPipeline(common)
  const ledger = queued ? new RedisLedger(queueLink, prefix) : undefined
  let current: string | undefined
  const presence =
    queued && ledger !== undefined
      ? new MeshPresence({
          link: queueLink,
          clock,
          log,
          meter,
          prefix: settings.redisPrefix,
          mesh: settings.mesh,
          ledger,
          self: () => self(),
          seesAll: createWorker !== undefined,
        })
      : undefined
  const replication = promisesReplicas(settings.reportAck) ? queueReplication : undefined
  const note = async (rules: string) => await presence?.note(rules)
  const shards = queued
    ? new QueueShards({ link: queueLink, clock, prefix, own: settings.reportQueueShards })
    : undefined
  let isOrdered = false
  const adding = { ...shared, clock, log, meter, note, ordered: () => isOrdered, ...(shards && { shards }) }
  const queue = queued ? new ReportQueue({ ...adding, link: queueLink, replication }) : undefined
  const worker =
    queued && createWorker !== undefined
      ? createWorker({
          ...common,
          ...shared,
          redis: queueRedis,
          ...(queueReplication === undefined ? {} : { replication: queueReplication }),
          link: queueLink,
          mesh: settings.mesh,
          ...(presence === undefined ? {} : { watch: presence.watch }),
          onChange: () => presence?.tell(),
          ...(shards && { shards }),
          handlerQueueMaxBytes: settings.handlerQueueMaxBytes,
          deadLettersMaxBytes: settings.deadLettersMaxBytes,
        })
      : undefined
  const sink = pipeline ?? queue
  const names = { process: options.process, node: settings.nodeId }
  const books = queued
    ? sharedBooks({ ...names, link: queueLink, prefix, clock, log, meter, watches: worker !== undefined })
    : ownBooks(names, async () => (await pipeline?.totals()) ?? new Map())
  const intake =
    role === 'worker' || sink === undefined
      ? undefined
      : new ReportIntake({
          sink: books.counting(sink),
          formats,
          clock,
          random,
          log,
          meter,
          spoolBytes: settings.spoolMaxBytes,
          coalesce: { maxRecords: settings.reportBatchMaxEntries, maxWaitMs: settings.reportBatchMaxTimeMs },
          rules: () => current,
          disk: diskSpool(options),
        })
  const self = (): Omit<ProcessEntry, 'mesh'> | undefined =>
    current === undefined
      ? undefined
      : {
          id: settings.nodeId,
          rules: current,
          adds: intake === undefined ? [] : [...new Set([current, ...(queue?.adds ?? [])])],
          evaluates: worker?.evaluates ?? [],
          delivers: worker?.delivers ?? [],
        }
  const view = async () => {
    const handlers = (await (ledger?.read() ?? pipeline?.totals())) ?? new Map()
    return { intake: intake?.totals(), handlers: Object.fromEntries(handlers), ...(await presence?.look()) }
  }
  const lookAtBooks = async () => {
    const report = await books.look()
    const services = await presence?.look()
    return services === undefined ? report : withServices(report, services, queueNames(prefix).reports())
  }
  const explained = (look: () => Promise<unknown>) => async () => {
    try {
      return await look()
    } catch (error) {
      throw queueLink === undefined ? error : withReason(error, queueLink)
    }
  }
  books.start(intake && (() => intake.totals()))
  let working = false
  return {
    intake,
    async start() {
      await intake?.start()
    },
    follow(state) {
      states.set(state.snapshot, state)
      const { takesReports, runs, problems } = chooseHandlers(state.snapshot, settings)
      for (const problem of problems) log.warn({}, problem)
      const own = [...state.handlers].filter(([name]) => runs(name, 'report'))
      const handlers = new Map<string, AnyHandler>(own.map(([name, { code }]) => [name, code]))
      const hold = () => holdHandlers(state)
      pipeline?.reload(state.snapshot, handlers, hold)
      current = state.snapshot.reportDigest
      isOrdered = orderedOf(state.snapshot.handlers).size > 0
      if (working) worker?.reload(state.snapshot, handlers, { hold, takesReports })
      else worker?.start(state.snapshot, handlers, { hold, takesReports })
      working = true
      presence?.tell()
    },
    debug: new Map<string, () => unknown>([
      ['reports', explained(view)],
      ['ledger', explained(lookAtBooks)],
    ]),
    async stop(deadlineMs) {
      const endAt = clock.monotonic() + deadlineMs
      const left = () => Math.max(0, endAt - clock.monotonic())
      const totals = await intake?.flush(deadlineMs * INTAKE_SHARE)
      const look = async () => waitingOf((await ledger?.read()) ?? new Map(), totals?.delivered ?? 0)
      const isPrivate = settings.redisIsPrivate && ledger !== undefined
      if (isPrivate) await untilDelivered(look, clock, left() * PRIVATE_SHARE).catch(() => undefined)
      await Promise.all([worker?.stop(left()), pipeline?.stop(left()), queue?.close(), books.stop()])
      if (isPrivate)
        await look().then(
          (waiting) => tellLost(waiting, log),
          () => undefined,
        )
      await presence?.stop()
      const lost = totals?.dropped.shutdown ?? 0
      if (lost > 0) throw new IntermixError('REDIS_UNAVAILABLE', `${lost} reports found no way out of this process`)
    },
  }
}

/** Former report rules need the handlers of their config, until the returned function is called. */
function holdHandlers({ handlers }: PolicyState): () => void {
  const { promise, resolve } = Promise.withResolvers<void>()
  void handlers.hold(promise)
  return resolve
}
