// The queue stage in Redis: BullMQ keeps the jobs and their delays, and what becomes of each try is decided elsewhere.

import { type Job, Worker } from 'bullmq'
import { reasonOf } from '../src/adapter-kit/exporter/failure-class.ts'
import type { Consume } from '../src/adapter-kit/exporter/sending-queue.ts'
import { within } from '../src/kernel/deadline.ts'
import type { WorkerContext } from './worker-context.ts'

const MAX_STALLED_COUNT = 5
/** Without Redis no job in work can be acknowledged, so that waiting for its end would only hold up the process. */
const AWAY_DEADLINE_MS = 500

export interface JobQueueOptions<B> {
  /** Name of the queue. */
  readonly queue: string
  readonly concurrency: number
  /** Reads the data of a job. Throws where it is damaged: then there is nothing to try. */
  readonly read: (data: unknown) => B
  readonly consume: Consume<B>
  /** Keeps a job that gets no further try. A rejection has BullMQ try the job again. */
  readonly bury: (job: Job, reason: string, firstFailureAt: number) => Promise<void>
}

/** Gives the jobs of a queue to `consume`, by BullMQ's own worker. */
export class JobQueue<B> {
  readonly #context: WorkerContext
  readonly #options: JobQueueOptions<B>
  readonly #worker: Worker

  constructor(context: WorkerContext, options: JobQueueOptions<B>) {
    const { queue, concurrency } = options
    const { lockDurationMs, stalledIntervalMs } = context.tuning
    this.#context = context
    this.#options = options
    this.#worker = new Worker(queue, (job) => this.#process(job), {
      connection: context.connection,
      prefix: context.names.keyPrefix(queue),
      concurrency,
      lockDuration: lockDurationMs,
      stalledInterval: stalledIntervalMs,
      maxStalledCount: MAX_STALLED_COUNT,
      skipVersionCheck: true,
    })
    this.#worker.on('error', (error) => context.log.debug({ queue, err: error }, 'worker error'))
  }

  /** Jobs at once. */
  set concurrency(jobs: number) {
    this.#worker.concurrency = jobs
  }

  /**
   * Lets jobs in work end, for at most `deadlineMs` and but shortly while Redis is away; those that do not are taken over
   * by another worker.
   */
  async stop(deadlineMs: number): Promise<void> {
    const { clock, link } = this.#context
    const patienceMs = link.state() === 'down' ? Math.min(deadlineMs, AWAY_DEADLINE_MS) : deadlineMs
    const closed = this.#worker.close().catch(() => undefined)
    await within(clock, patienceMs, closed, () => {
      this.#worker.disconnect().catch(() => undefined)
    })
  }

  async #process(job: Job): Promise<void> {
    const { read, consume, bury } = this.#options
    let batch: B
    try {
      batch = read(job.data)
    } catch (error) {
      return bury(job, reasonOf(error), this.#context.clock.now())
    }
    const outcome = await consume(batch, job.attemptsMade)
    if (outcome.kind === 'delivered') return
    const noted = (typeof job.progress === 'object' ? job.progress : {}) as { firstFailureAt?: number }
    const firstFailureAt = noted.firstFailureAt ?? this.#context.clock.now()
    if (outcome.kind === 'ended') return bury(job, reasonOf(outcome.error), firstFailureAt)
    if (noted.firstFailureAt === undefined) await job.updateProgress({ firstFailureAt })
    // BullMQ reads these when the job fails, and keeps them to itself: what the job was added with holds for errors that
    // nobody has judged.
    job.opts.attempts = job.attemptsMade + 2
    job.opts.backoff = { type: 'fixed', delay: Math.ceil(outcome.afterMs) }
    throw outcome.error
  }
}
