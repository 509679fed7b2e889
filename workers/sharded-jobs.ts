// The queue stage over all shards of a queue: each has jobs and an upkeep of its own, and together they have no more jobs in
// work than one queue would.

import { Turns } from './turns.ts'
import { JobQueue, type JobQueueLimits, type JobQueueOptions } from './job-queue.ts'
import type { WorkerContext } from './worker-context.ts'

export interface ShardedJobsOptions<B> {
  /** Of all shards together. */
  readonly limits: JobQueueLimits
  /** What a shard is called in metrics and logs follows from its number. */
  readonly label: string
  /** How the queue of one shard is called and worked off. */
  readonly shard: (shard: number) => Omit<JobQueueOptions<B>, 'label' | 'limits' | 'turns' | 'onPause'>
  /** Set for a queue that is never cut into shards. */
  readonly isWhole?: boolean
}

/** Gives the jobs of all shards that there are to whoever consumes them. */
export class ShardedJobs<B> {
  readonly #context: WorkerContext
  readonly #options: ShardedJobsOptions<B>
  readonly #turns: Turns
  readonly #queues: JobQueue<B>[] = []
  readonly #stopListening: () => void
  #limits: JobQueueLimits
  #concurrency: number
  #stopped = false

  constructor(context: WorkerContext, options: ShardedJobsOptions<B>) {
    this.#context = context
    this.#options = options
    this.#limits = options.limits
    this.#concurrency = options.limits.concurrency
    this.#turns = new Turns(this.#concurrency)
    this.#follow()
    this.#stopListening = context.shards.onChange(() => this.#follow())
  }

  /** Follows the config. */
  set limits(limits: JobQueueLimits) {
    this.#limits = limits
    for (const queue of this.#queues) queue.limits = limits
    this.concurrency = limits.concurrency
  }

  /** Jobs at once, within the limit. */
  set concurrency(jobs: number) {
    this.#concurrency = Math.min(jobs, this.#limits.concurrency)
    this.#turns.most = this.#concurrency
    for (const queue of this.#queues) queue.concurrency = this.#concurrency
  }

  /** As `JobQueue.stop`. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopped = true
    this.#stopListening()
    await Promise.all(this.#queues.map((queue) => queue.stop(deadlineMs)))
  }

  #follow(): void {
    if (this.#stopped) return
    const wanted = this.#options.isWhole === true ? 1 : this.#context.shards.known
    while (this.#queues.length < wanted) this.#queues.push(this.#open(this.#queues.length))
    for (const queue of this.#queues.splice(wanted)) void queue.stop(this.#context.tuning.lockDurationMs)
  }

  #open(shard: number): JobQueue<B> {
    const { label, shard: optionsOf } = this.#options
    const queue: JobQueue<B> = new JobQueue(this.#context, {
      ...optionsOf(shard),
      label: shard === 0 ? label : `${label}#${shard}`,
      limits: this.#limits,
      turns: this.#turns,
      onPause: (ms) => {
        for (const other of this.#queues) if (other !== queue) void other.pause(ms).catch(() => undefined)
      },
    })
    queue.concurrency = this.#concurrency
    return queue
  }
}
