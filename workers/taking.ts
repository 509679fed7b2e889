// Takes jobs with a worker of BullMQ: held up for reasons of ours, and replaced when it has gone deaf.

import { type Job, Worker } from 'bullmq'
import { within } from '../src/kernel/deadline.ts'
import { isForbidden, redisTrouble } from '../src/redis/trouble.ts'
import type { WorkerContext } from './worker-context.ts'

const MAX_STALLED_COUNT = 5
/** After the loss of a connection; BullMQ's own 15 s would leave a queue alone long after Redis is back. */
const RETRY_MS = 1000
/** A user that lacks a right is given it by somebody. */
const RIGHTS_MS = 2000
/** Where Redis is away or full, jobs in work cannot be acknowledged: waiting for their end would only hold up the process. */
const HOPELESS_DEADLINE_MS = 500

/** Why no jobs are taken: the fan-out leaves memory to others, Redis takes no writes, or does not allow it to this user. */
type HoldReason = 'memory' | 'full' | 'rights'

export interface TakingOptions {
  /** Name of the queue. */
  readonly queue: string
  readonly concurrency: number
  /** No job is taken before. */
  readonly ready: Promise<void>
  readonly process: (job: Job, token: string) => Promise<void>
  /** A job that was taken could not even be read. */
  readonly garbled: () => void
}

/** Takes the jobs of a queue until it is stopped. */
export class Taking {
  readonly #context: WorkerContext
  readonly #options: TakingOptions
  readonly #holds = new Set<HoldReason>()
  readonly #inWork = new Set<string>()
  readonly #stopListening: () => void
  #concurrency: number
  #worker: Worker
  #ready = false
  #stopped = false
  #takenAt = Number.NEGATIVE_INFINITY

  constructor(context: WorkerContext, options: TakingOptions) {
    this.#context = context
    this.#options = options
    this.#concurrency = options.concurrency
    this.#worker = this.#open()
    this.#stopListening = context.memory.onLook(() => this.hold('full', context.memory.full))
    void options.ready.then(() => {
      this.#ready = true
      this.#run()
    })
  }

  /** Jobs at once. */
  set concurrency(jobs: number) {
    this.#concurrency = jobs
    this.#worker.concurrency = jobs
  }

  /** Ids of the jobs in work here. */
  get inWork(): ReadonlySet<string> {
    return this.#inWork
  }

  /** Whether it could take another job now. */
  get free(): boolean {
    return this.#ready && this.#holds.size === 0 && this.#inWork.size < this.#concurrency
  }

  /** When it took a job last, on the monotonic clock. */
  get takenAt(): number {
    return this.#takenAt
  }

  /** Takes no further job while there is a reason not to; jobs in work go on. */
  hold(reason: HoldReason, on: boolean): void {
    const before = this.#holds.size
    if (on) this.#holds.add(reason)
    else this.#holds.delete(reason)
    if (before === 0 && this.#holds.size > 0) void this.#worker.pause(true).catch(() => undefined)
    if (before > 0 && this.#holds.size === 0) this.#run()
  }

  /** Has no worker of the queue take a job for so many milliseconds. */
  async rateLimit(ms: number): Promise<void> {
    await this.#worker.rateLimit(Math.max(1, Math.ceil(ms)))
  }

  /** Goes on with a new worker; what the old one has in work ends there. */
  replace(): void {
    const old = this.#worker
    this.#worker = this.#open()
    this.#run()
    void this.#close(old, this.#context.tuning.lockDurationMs)
  }

  /**
   * Lets jobs in work end, for at most `deadlineMs`, and but shortly while Redis is away or full; those that do not are taken over
   * by another worker.
   */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopped = true
    this.#stopListening()
    const isHopeless = this.#context.link.state() === 'down' || this.#holds.size > 0
    await this.#close(this.#worker, isHopeless ? Math.min(deadlineMs, HOPELESS_DEADLINE_MS) : deadlineMs)
  }

  #run(): void {
    if (this.#stopped || !this.#ready || this.#holds.size > 0) return
    // Of a worker that runs already, only a pause ends.
    void this.#worker.resume()
  }

  async #close(worker: Worker, deadlineMs: number): Promise<void> {
    const closed = worker.close().catch(() => undefined)
    // Its own connection only: `worker.disconnect()` would end for good the one that all workers of the process share.
    await within(this.#context.clock, deadlineMs, closed, () => {
      worker.backend.close(true).catch(() => undefined)
    })
  }

  #open(): Worker {
    const { queue } = this.#options
    const { tuning, connection, names, log } = this.#context
    const worker = new Worker(queue, (job, token) => this.#process(job, token), {
      connection,
      prefix: names.keyPrefix(queue),
      concurrency: this.#concurrency,
      // Without a limiter BullMQ heeds no pause; this one limits nothing by itself.
      limiter: { max: Number.MAX_SAFE_INTEGER, duration: 1000 },
      autorun: false,
      lockDuration: tuning.lockDurationMs,
      stalledInterval: tuning.stalledIntervalMs,
      maxStalledCount: MAX_STALLED_COUNT,
      runRetryDelay: RETRY_MS,
      // Of a job whose options are lost, too, nothing stays.
      removeOnComplete: { count: 0 },
      skipVersionCheck: true,
    })
    worker.on('error', (error) => {
      log.debug({ queue, err: error }, 'worker error')
      if (error instanceof SyntaxError) this.#options.garbled()
      this.#context.link.heed(error)
      // BullMQ would ask again at once, and again.
      if (isForbidden(error)) return this.#holdForRights(worker)
      if (redisTrouble(error) !== 'full') return
      if (worker === this.#worker) this.hold('full', true)
      this.#context.memory.suspect()
    })
    return worker
  }

  #holdForRights(worker: Worker): void {
    if (this.#stopped || worker !== this.#worker || this.#holds.has('rights')) return
    this.hold('rights', true)
    this.#context.clock.after(RIGHTS_MS, () => this.hold('rights', false))
  }

  async #process(job: Job, token = ''): Promise<void> {
    const id = job.id ?? ''
    this.#takenAt = this.#context.clock.monotonic()
    this.#inWork.add(id)
    try {
      await this.#options.process(job, token)
    } finally {
      this.#inWork.delete(id)
      this.#takenAt = this.#context.clock.monotonic()
    }
  }
}
