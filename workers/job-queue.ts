// The queue stage in Redis: BullMQ keeps the jobs and their delays, and what becomes of each try is decided elsewhere.

import type { Job } from 'bullmq'
import type { ExportLimits } from '../src/adapter-kit/exporter/limits.ts'
import { pause } from '../src/kernel/deadline.ts'
import { LinkQueue } from '../src/telemetry/link-queue.ts'
import { type JobTryOptions, tryJob } from './job-try.ts'
import { QueueWatch } from './queue-watch.ts'
import { Taking } from './taking.ts'
import type { Turns } from './turns.ts'
import type { WorkerContext } from './worker-context.ts'

const ORDER_AGAIN_MS = 1000

/** Jobs at once, and whether they are one after the other over all processes; queues of no handler have no order. */
export type JobQueueLimits = Pick<ExportLimits, 'concurrency'> & Partial<Pick<ExportLimits, 'ordered'>>

export interface JobQueueOptions<B> extends JobTryOptions<B> {
  /** Name of the queue. */
  readonly queue: string
  /** What it is called in metrics and logs. */
  readonly label: string
  readonly limits: JobQueueLimits
  /** Whether its jobs make more than they free, so that it leaves the last of the memory to others. */
  readonly needsRoom: boolean
  /** Those of all shards of the queue: a job is not begun without one. */
  readonly turns: Turns
  /** A pause is for the other shards, too. */
  readonly onPause: (ms: number) => void
}

/** Gives the jobs of a queue to `consume`, and looks after the queue. */
export class JobQueue<B> {
  readonly #context: WorkerContext
  readonly #options: JobQueueOptions<B>
  readonly #taking: Taking
  readonly #watch: QueueWatch
  readonly #queue: LinkQueue
  readonly #stopListening: () => void
  #limits: JobQueueLimits
  #pausedUntil = Number.NEGATIVE_INFINITY
  #stopped = false

  constructor(context: WorkerContext, options: JobQueueOptions<B>) {
    const { queue, label, limits, needsRoom } = options
    const { memory, clock, link, names } = context
    const bury: typeof options.bury = (...spent) => memory.outlast(() => options.bury(...spent))
    this.#context = context
    this.#options = { ...options, bury }
    this.#limits = limits
    this.#queue = new LinkQueue(link, queue, names.keyPrefix(queue))
    const ordering = limits.ordered === undefined ? Promise.resolve() : this.#order(limits.ordered)
    const taking = new Taking(context, {
      queue,
      concurrency: limits.concurrency,
      ready: limits.ordered === true ? ordering : Promise.resolve(),
      process: (job, token) => options.turns.run(() => this.#process(job, token)),
      garbled: () => this.#watch.suspect(),
    })
    this.#taking = taking
    this.#watch = new QueueWatch(context, {
      name: queue,
      queue: this.#queue,
      label,
      taking,
      bury: (job, reason) => bury(job, reason, clock.now()),
    })
    this.#stopListening = memory.onLook(() => taking.hold('memory', needsRoom && memory.holding))
  }

  /** Follows the config. */
  set limits(limits: JobQueueLimits) {
    const { ordered } = limits
    if (ordered !== undefined && ordered !== this.#limits.ordered) void this.#order(ordered)
    this.#limits = limits
    this.concurrency = limits.concurrency
  }

  /** Jobs at once, within the limit. */
  set concurrency(jobs: number) {
    this.#taking.concurrency = Math.min(jobs, this.#limits.concurrency)
  }

  /**
   * Lets jobs in work end, for at most `deadlineMs` and but shortly while Redis is away; those that do not are taken over
   * by another worker.
   */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopped = true
    this.#stopListening()
    this.#watch.stop()
    await Promise.all([this.#queue.close(), this.#taking.stop(deadlineMs)])
  }

  async #process(job: Job, token: string): Promise<void> {
    if (typeof (job.data as { id?: unknown } | null)?.id !== 'string') {
      return this.#watch.buryDamaged(job, 'its data is gone, or not that of a batch')
    }
    const { clock, random, tuning } = this.#context
    // A process that stood still may hold a job that another one has taken over meanwhile.
    const heldMs = clock.now() - (job.processedOn ?? clock.now())
    if (heldMs > tuning.lockDurationMs / 2 && (await job.extendLock(token, tuning.lockDurationMs)) === 0) {
      throw new Error('the job was taken over')
    }
    const ordered = this.#limits.ordered === true
    const pause = (ms: number) => {
      this.#options.onPause(ms)
      return this.pause(ms)
    }
    await tryJob(job, token, this.#options, { clock, random, ordered, pause })
  }

  /** Has no worker of the queue take a job for so many milliseconds; a shorter pause does not end a longer one. */
  async pause(ms: number): Promise<void> {
    const until = this.#context.clock.monotonic() + ms
    if (until <= this.#pausedUntil) return
    this.#pausedUntil = until
    await this.#taking.rateLimit(ms)
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
