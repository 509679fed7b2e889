// What the parts of a worker process share.

import { type Job, Worker } from 'bullmq'
import { within } from '../src/kernel/deadline.ts'
import type { Clock, Logger, Meter } from '../src/kernel/ports.ts'
import type { RedisLink } from '../src/redis/connection.ts'
import type { RedisClient } from '../src/redis/create-client.ts'
import type { Retries } from '../src/telemetry/call-handler.ts'
import type { DeadLetters } from '../src/telemetry/dead-letters.ts'
import type { Ledger } from '../src/telemetry/ledger.ts'
import type { QueueNames } from '../src/telemetry/queue-names.ts'

/** How workers take jobs and notice that another worker has died. Times in milliseconds. */
export interface WorkerTuning {
  /** Jobs at once, per queue. */
  readonly concurrency: number
  /** A job whose worker gave no sign of life for this long may be taken over. */
  readonly lockDurationMs: number
  /** How often abandoned jobs are looked for. */
  readonly stalledIntervalMs: number
  readonly retries: Retries
  /** How long a handler must be missing from the config before what waits for it becomes dead letters. */
  readonly orphanGraceMs: number
  /** How often failed jobs and vanished handlers are looked for. */
  readonly maintenanceMs: number
}

export interface WorkerContext {
  /** For BullMQ's workers: waits for Redis for ever. */
  readonly connection: RedisClient
  /** For everything else: bounded. */
  readonly link: RedisLink
  readonly names: QueueNames
  readonly ledger: Ledger
  readonly deadLetters: DeadLetters
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly tuning: WorkerTuning
}

const MAX_STALLED_COUNT = 5
/** Without Redis no job in work can be acknowledged, so that waiting for its end would only hold up the process. */
const AWAY_DEADLINE_MS = 500

/** Starts a BullMQ worker on a queue. */
export function startWorker(context: WorkerContext, queue: string, process: (job: Job) => Promise<void>): Worker {
  const { concurrency, lockDurationMs, stalledIntervalMs } = context.tuning
  const worker = new Worker(queue, process, {
    connection: context.connection,
    prefix: context.names.keyPrefix(queue),
    concurrency,
    lockDuration: lockDurationMs,
    stalledInterval: stalledIntervalMs,
    maxStalledCount: MAX_STALLED_COUNT,
    skipVersionCheck: true,
  })
  worker.on('error', (error) => context.log.debug({ queue, err: error }, 'worker error'))
  return worker
}

/**
 * Lets jobs in work end, for at most `deadlineMs` and but shortly while Redis is away; those that do not are taken over
 * by another worker.
 */
export async function stopWorker(
  worker: Worker,
  { clock, link }: Pick<WorkerContext, 'clock' | 'link'>,
  deadlineMs: number,
): Promise<void> {
  const patienceMs = link.state() === 'down' ? Math.min(deadlineMs, AWAY_DEADLINE_MS) : deadlineMs
  const closed = worker.close().catch(() => undefined)
  await within(clock, patienceMs, closed, () => {
    worker.disconnect().catch(() => undefined)
  })
}

/** Whether this is the last try of a job. */
export function isLastAttempt(job: Job): boolean {
  return job.attemptsMade + 1 >= (job.opts.attempts ?? 1)
}

/** The time of a job's first failure, noted in the job when it is this one. */
export async function firstFailureOf(job: Job, clock: Clock): Promise<number> {
  const { firstFailureAt } = (typeof job.progress === 'object' ? job.progress : {}) as { firstFailureAt?: number }
  if (firstFailureAt !== undefined) return firstFailureAt
  const now = clock.now()
  if (!isLastAttempt(job)) await job.updateProgress({ firstFailureAt: now })
  return now
}

/** Retries what must not be forgotten once a backend has been called. */
export async function persistently(clock: Clock, task: () => Promise<void>): Promise<void> {
  for (let wait = 100; ; wait *= 2) {
    try {
      await task()
      return
    } catch (error) {
      if (wait > 5000) throw error
      await new Promise<void>((resolve) => clock.after(wait, resolve))
    }
  }
}
