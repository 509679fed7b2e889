// The queue stage in Redis: BullMQ keeps the jobs and their delays, and what becomes of each try is decided elsewhere.

import { type Job, Worker } from 'bullmq'
import type { ExportLimits } from '../src/adapter-kit/exporter/limits.ts'
import { pause, within } from '../src/kernel/deadline.ts'
import { LinkQueue } from '../src/telemetry/link-queue.ts'
import { type JobTryOptions, tryJob } from './job-try.ts'
import type { WorkerContext } from './worker-context.ts'

const MAX_STALLED_COUNT = 5
/** Without Redis no job in work can be acknowledged, so that waiting for its end would only hold up the process. */
const AWAY_DEADLINE_MS = 500

const ORDER_AGAIN_MS = 1000

/** Jobs at once, and whether they are one after the other over all processes; queues of no handler have no order. */
export type JobQueueLimits = Pick<ExportLimits, 'concurrency'> & Partial<Pick<ExportLimits, 'ordered'>>

export interface JobQueueOptions<B> extends JobTryOptions<B> {
  /** Name of the queue. */
  readonly queue: string
  readonly limits: JobQueueLimits
}

/** Gives the jobs of a queue to `consume`, by BullMQ's own worker. */
export class JobQueue<B> {
  readonly #context: WorkerContext
  readonly #options: JobQueueOptions<B>
  readonly #worker: Worker
  readonly #queue: LinkQueue
  #limits: JobQueueLimits
  #pausedUntil = Number.NEGATIVE_INFINITY
  #stopped = false

  constructor(context: WorkerContext, options: JobQueueOptions<B>) {
    const { queue, limits } = options
    const { lockDurationMs, stalledIntervalMs } = context.tuning
    this.#context = context
    this.#options = options
    this.#limits = limits
    this.#queue = new LinkQueue(context.link, queue, context.names.keyPrefix(queue))
    this.#worker = new Worker(queue, (job, token) => this.#process(job, token), {
      connection: context.connection,
      prefix: context.names.keyPrefix(queue),
      concurrency: limits.concurrency,
      // Without a limiter BullMQ heeds no pause; this one limits nothing by itself.
      limiter: { max: Number.MAX_SAFE_INTEGER, duration: 1000 },
      autorun: false,
      lockDuration: lockDurationMs,
      stalledInterval: stalledIntervalMs,
      maxStalledCount: MAX_STALLED_COUNT,
      skipVersionCheck: true,
    })
    this.#worker.on('error', (error) => context.log.debug({ queue, err: error }, 'worker error'))
    const ready = limits.ordered === undefined ? Promise.resolve() : this.#order(limits.ordered)
    void ready
      .then(async () => {
        if (!this.#stopped) await this.#worker.run()
      })
      .catch(() => undefined)
  }

  /** Follows the config. */
  set limits(limits: JobQueueLimits) {
    const { ordered } = limits
    if (ordered !== undefined && ordered !== this.#limits.ordered) void this.#order(ordered)
    this.#limits = limits
    this.#worker.concurrency = limits.concurrency
  }

  /**
   * Lets jobs in work end, for at most `deadlineMs` and but shortly while Redis is away; those that do not are taken over
   * by another worker.
   */
  async stop(deadlineMs: number): Promise<void> {
    const { clock, link } = this.#context
    this.#stopped = true
    await this.#queue.close()
    const patienceMs = link.state() === 'down' ? Math.min(deadlineMs, AWAY_DEADLINE_MS) : deadlineMs
    const closed = this.#worker.close().catch(() => undefined)
    await within(clock, patienceMs, closed, () => {
      this.#worker.disconnect().catch(() => undefined)
    })
  }

  async #process(job: Job, token = ''): Promise<void> {
    const { clock, random } = this.#context
    const ordered = this.#limits.ordered === true
    await tryJob(job, token, this.#options, { clock, random, ordered, pause: (ms) => this.#pause(ms) })
  }

  // For all workers of the queue; a shorter pause does not end a longer one.
  async #pause(ms: number): Promise<void> {
    const until = this.#context.clock.monotonic() + ms
    if (until <= this.#pausedUntil) return
    this.#pausedUntil = until
    await this.#worker.rateLimit(Math.max(1, Math.ceil(ms)))
  }

  /** One job at a time over all processes where the order counts. Tried until Redis is there. */
  async #order(ordered: boolean): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#queue.run((queue) => (ordered ? queue.setGlobalConcurrency(1) : queue.removeGlobalConcurrency()))
        return
      } catch {
        await pause(this.#context.clock, ORDER_AGAIN_MS)
      }
    }
  }
}
