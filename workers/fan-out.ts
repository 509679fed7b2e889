// Consumes report parcels from Redis: gives each handler its own jobs, and makes dead letters of what cannot be read.

import { exportLimits } from '../src/adapter-kit/exporter/limits.ts'
import { retryWhole } from '../src/adapter-kit/exporter/retry.ts'
import type { ReportBatch, ReportFormats } from '../src/kernel/report.ts'
import { letterId } from '../src/telemetry/dead-letters.ts'
import { fanOut, type FanOutRules } from '../src/telemetry/fan-out.ts'
import { FAN_OUT } from '../src/telemetry/ledger.ts'
import { type Parcel, type ParcelJob, parcelFromJob, parcelOf, parcelToJob } from '../src/telemetry/parcel.ts'
import type { DeliverQueue } from './deliver-queue.ts'
import type { DeadJob } from './job-try.ts'
import { ShardedJobs } from './sharded-jobs.ts'
import type { WorkerContext } from './worker-context.ts'

export interface FanOutOptions {
  readonly formats: ReportFormats
  /** Of the rules whose queue it is; `undefined`: of reports that name no rules. */
  readonly digest: string | undefined
  readonly rules: FanOutRules
  queueOf(handler: string): DeliverQueue
}

/** What a queue of reports is called in metrics and logs. */
function labelOf(digest: string | undefined): string {
  return digest === undefined ? FAN_OUT : `${FAN_OUT} ${digest.slice(0, 8)}`
}

/** Takes from one queue of reports, from all its shards. */
export class FanOut {
  readonly #context: WorkerContext
  readonly #options: FanOutOptions
  readonly #parcels: ShardedJobs<Parcel>
  /** Jobs that start from now on follow these. */
  rules: FanOutRules

  constructor(context: WorkerContext, options: FanOutOptions) {
    const { names, clock, random, tuning, memory } = context
    const { retries } = exportLimits({ retries: tuning.retries })
    this.#context = context
    this.#options = options
    this.rules = options.rules
    this.#parcels = new ShardedJobs(context, {
      label: labelOf(options.digest),
      limits: { concurrency: tuning.concurrency },
      // What names no rules is never cut into shards.
      isWhole: options.digest === undefined,
      shard: (shard) => {
        const queue = names.reports(options.digest, shard)
        const expand = (parcel: Parcel, attempts: number) => memory.outlast(() => this.#expand(parcel, attempts, queue))
        return {
          queue,
          needsRoom: true,
          read: parcelFromJob,
          write: parcelToJob,
          consume: retryWhole((parcel, { before }) => expand(parcel, before + 1), { clock, random, retries }),
          bury: (job, reason, firstFailureAt) => this.#bury(job, reason, firstFailureAt),
        }
      },
    })
  }

  stop(deadlineMs: number): Promise<void> {
    return this.#parcels.stop(deadlineMs)
  }

  /** Makes a dead letter of a whole job. */
  async #bury(job: DeadJob, reason: string, firstFailureAt = this.#context.clock.now()): Promise<void> {
    const data = job.data as ParcelJob
    const count = Number.isSafeInteger(data.count) ? data.count : 0
    const id = typeof data.id === 'string' ? data.id : `job-${job.id}`
    const replays = data.replays > 0 ? data.replays : 0
    const letters = [{ id: letterId(id, replays), count, bytes: JSON.stringify(data).length }]
    await this.#context.ledger.arrive({ parcel: { id, count, replays }, batches: [], letters, dropped: [] })
    await this.#letter({ id, job: data, count, reason, attempts: job.attemptsMade + 1, firstFailureAt })
  }

  async #expand(parcel: Parcel, attempts: number, queue: string): Promise<void> {
    const { ledger, log, memory } = this.#context
    await memory.room(queue, 0)
    await fanOut(parcel, this.rules, {
      formats: this.#options.formats,
      ledger,
      log,
      queueOf: (handler) => {
        const queue = this.#options.queueOf(handler)
        return parcel.replicated === true ? queue.replicated : queue
      },
      shareOf: () => memory.handlerShare,
      letters: {
        idOf: (batch) => letterId(batch.id, parcel.replays),
        keep: (batch, reason) => this.#unreadable(batch, reason, parcel, attempts),
      },
    })
  }

  #unreadable(batch: ReportBatch, reason: string, { replays, rules }: Parcel, attempts: number): Promise<void> {
    const job = parcelToJob(parcelOf([batch], batch.id, replays, rules))
    return this.#letter({ id: batch.id, job, count: batch.count, reason, attempts })
  }

  async #letter(options: {
    readonly id: string
    readonly job: ParcelJob
    readonly count: number
    readonly reason: string
    readonly attempts: number
    readonly firstFailureAt?: number
  }): Promise<void> {
    const now = this.#context.clock.now()
    const { id, job, count, reason, attempts, firstFailureAt = now } = options
    this.#context.log.warn({ id, reason, records: count }, 'reports became a dead letter')
    await this.#context.deadLetters.add({
      version: 1,
      id: letterId(id, job.replays ?? 0),
      handler: FAN_OUT,
      template: '',
      count,
      reason,
      attempts,
      firstFailureAt,
      lastFailureAt: now,
      replays: job.replays ?? 0,
      content: { kind: 'reports', job },
    })
  }
}
