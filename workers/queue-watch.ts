// Watches one queue: how it stands, whether our worker takes from it, and what lies in it that is no job any more.

import {
  REPORT_JOBS_DAMAGED_TOTAL,
  REPORT_QUEUE_JOBS,
  REPORT_QUEUE_OLDEST_SECONDS,
  REPORT_WORKERS_REPLACED_TOTAL,
} from '../src/kernel/metrics/reports.ts'
import type { Counter } from '../src/kernel/ports.ts'
import type { RedisClient } from '../src/redis/create-client.ts'
import { defineScript } from '../src/redis/scripts.ts'
import type { LinkQueue } from '../src/telemetry/link-queue.ts'
import type { DeadJob } from './job-try.ts'
import type { Taking } from './taking.ts'
import type { WorkerContext } from './worker-context.ts'

const STATES = ['waiting', 'delayed', 'active', 'failed'] as const
const PAGE = 100
const TIMEOUT_MS = 5000
/** Of the data of a damaged job. */
const MAX_KEPT = 4096

interface QueueState {
  readonly counts: Readonly<Record<(typeof STATES)[number], number>>
  /** Milliseconds since the epoch; 0 where the queue is empty. */
  readonly oldestAt: number
  /** Whether nobody may take a job now: paused, throttled, or all that may be under way at once are. */
  readonly closed: boolean
  /** Ids of active jobs whose data is gone. */
  readonly lost: readonly string[]
}

type Reply = [number, number, number, number, number, number, ...string[]]

const queueState = defineScript({
  name: 'queue-state',
  keys: 7,
  reply: (raw): QueueState => {
    const [waiting, delayed, active, failed, oldestAt, closed, ...lost] = raw as Reply
    return { counts: { waiting, delayed, active, failed }, oldestAt, closed: closed === 1, lost }
  },
})
const dropJob = defineScript({ name: 'drop-job', keys: 2, reply: Number })

export interface QueueWatchOptions {
  readonly name: string
  readonly queue: LinkQueue
  /** What it is called in metrics and logs. */
  readonly label: string
  readonly taking: Taking
  readonly bury: (job: DeadJob, reason: string) => Promise<void>
}

/** Looks at the queue from time to time, until it is stopped. */
export class QueueWatch {
  readonly #context: WorkerContext
  readonly #options: QueueWatchOptions
  readonly #base: string
  readonly #replaced: Counter
  readonly #damaged: Counter
  /** Since when there are jobs that our worker should take and does not; on the monotonic clock. */
  #deafSince: number | undefined
  #stopped = false
  #cancel: (() => void) | undefined

  constructor(context: WorkerContext, options: QueueWatchOptions) {
    const { name, label } = options
    this.#replaced = context.meter.counter(REPORT_WORKERS_REPLACED_TOTAL)({ queue: label })
    this.#damaged = context.meter.counter(REPORT_JOBS_DAMAGED_TOTAL)({ queue: label })
    this.#context = context
    this.#options = options
    this.#base = `${context.names.keyPrefix(name)}:${name}:`
    this.#later()
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
    for (const state of STATES) this.#gauge(state, 0)
    this.#oldest(0)
  }

  /**
   * Looks for jobs that lie among the active ones and cannot be read: BullMQ takes such a job, fails to read it, and leaves
   * it there. What else is active is whole, or is gone before it is looked at.
   */
  suspect(): void {
    const { log } = this.#context
    this.#findGarbled().catch((error: unknown) => log.debug({ queue: this.#options.label, err: error }, 'cannot look'))
  }

  async #findGarbled(): Promise<void> {
    const { taking } = this.#options
    for (const id of await this.#run((client) => client.lrange(this.#key('active'), -PAGE, -1))) {
      if (taking.inWork.has(id)) continue
      const fields = this.#run((client) => client.hmget(this.#key(id), 'data', 'opts'))
      const [data, options] = await fields.catch(() => [])
      if (isJson(data) && isJson(options)) continue
      await this.#remove(id, 'its data is no valid JSON', data)
    }
  }

  /** Keeps what is left of a job whose data is gone or cannot be read. */
  async buryDamaged(job: DeadJob & { readonly deduplicationId?: string | undefined }, reason: string): Promise<void> {
    const { label, name, bury } = this.#options
    const { log } = this.#context
    const { id, data, attemptsMade, deduplicationId: batch } = job
    log.warn({ queue: label, job: id, batch, reason }, 'a job in the report queue is damaged')
    const isText = typeof data === 'string'
    const left = isText ? { damaged: data.slice(0, MAX_KEPT) } : typeof data === 'object' ? data : {}
    // Ids of jobs begin anew in a Redis that was emptied; those of batches never do.
    const known = { id: batch ?? `${name}-job-${id}`, ...left }
    await bury({ id, data: known, attemptsMade }, `the job was damaged in Redis: ${reason}`)
    this.#damaged.add()
  }

  #later(): void {
    if (this.#stopped) return
    const { clock, log, tuning, link } = this.#context
    this.#cancel = clock.after(tuning.maintenanceMs, () => {
      const looked = link.state() === 'down' ? Promise.resolve((this.#deafSince = undefined)) : this.#look()
      void looked
        .catch((error: unknown) => {
          this.#deafSince = undefined
          log.debug({ queue: this.#options.label, err: error }, 'the upkeep of a report queue failed')
        })
        .then(() => this.#later())
    })
  }

  async #look(): Promise<void> {
    const { clock } = this.#context
    const keys = ['wait', 'active', 'delayed', 'prioritized', 'failed', 'meta', 'limiter'].map((key) => this.#key(key))
    const now = clock.now()
    const state = await this.#run((client) => queueState.run(client, keys, [this.#base, now, PAGE]))
    if (this.#stopped) return
    for (const each of STATES) this.#gauge(each, state.counts[each])
    this.#oldest(state.oldestAt === 0 ? 0 : Math.max(0, now - state.oldestAt) / 1000)
    this.#judge(state)
    for (const id of state.lost) await this.#remove(id, 'its data is gone from Redis')
    if (state.counts.failed > 0) await this.#sweep()
  }

  /** A worker that is well takes a job within milliseconds of when it may. */
  #judge({ counts, closed }: QueueState): void {
    const { taking, label } = this.#options
    const { clock, log, tuning } = this.#context
    const now = clock.monotonic()
    const idle = counts.waiting > 0 && !closed && taking.free
    if (!idle || this.#deafSince === undefined || taking.takenAt >= this.#deafSince) {
      this.#deafSince = idle ? now : undefined
      return
    }
    if (now - this.#deafSince < tuning.deafMs) return
    this.#deafSince = undefined
    log.warn(
      { queue: label, waiting: counts.waiting, forMs: tuning.deafMs },
      'jobs wait and none is taken: the worker of this queue is replaced',
    )
    this.#replaced.add()
    taking.replace()
  }

  /** Jobs that BullMQ itself gave up, as those that killed several workers, become dead letters too. */
  async #sweep(): Promise<void> {
    const { queue } = this.#options
    for (const job of await queue.run((from) => from.getFailed(0, PAGE - 1), TIMEOUT_MS)) {
      await this.#options.bury(job, job.failedReason ?? 'the job failed')
      await queue.run((from) => from.remove(job.id ?? ''))
    }
  }

  async #remove(id: string, reason: string, data?: string | null): Promise<void> {
    // A key of another type than jobs have says nothing of the batch.
    const batch = await this.#run((client) => client.hget(this.#key(id), 'deid')).catch(() => null)
    await this.buryDamaged({ id, data, attemptsMade: 0, deduplicationId: batch ?? undefined }, reason)
    await this.#run((client) => dropJob.run(client, [this.#key('active'), this.#key(id)], [id, batch ?? '']))
  }

  #run<T>(operation: (client: RedisClient) => Promise<T>): Promise<T> {
    return this.#context.link.run(operation, TIMEOUT_MS)
  }

  #key(name: string): string {
    return this.#base + name
  }

  #gauge(state: (typeof STATES)[number], jobs: number): void {
    this.#context.meter.gauge(REPORT_QUEUE_JOBS)({ queue: this.#options.label, state }).set(jobs)
  }

  #oldest(seconds: number): void {
    this.#context.meter.gauge(REPORT_QUEUE_OLDEST_SECONDS)({ queue: this.#options.label }).set(seconds)
  }
}

function isJson(text: string | null | undefined): boolean {
  if (text === null || text === undefined) return true
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
