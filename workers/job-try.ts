// One try of a job: gives its batch to the chain, and asks of BullMQ what the outcome says.

import { DelayedError, type Job, Worker } from 'bullmq'
import { reasonOf } from '../src/adapter-kit/exporter/failure-class.ts'
import type { Again, Consume, Hold } from '../src/adapter-kit/exporter/sending-queue.ts'
import type { Clock, Random } from '../src/kernel/ports.ts'

/** What a dead letter is made of; for a part of a batch, with data of its own. */
export interface DeadJob {
  readonly id?: string | undefined
  readonly data: unknown
  readonly attemptsMade: number
}

export interface JobTryOptions<B> {
  /** Reads the data of a job. Throws where it is damaged: then there is nothing to try. */
  readonly read: (data: unknown) => B
  readonly write: (batch: B) => object
  readonly consume: Consume<B>
  /** Puts a batch before all that waits in the queue, once; it counts as queued at `since`, in ms since the epoch. */
  readonly add?: (batch: B, since: number) => Promise<void>
  /** Keeps a job that gets no further try. After a rejection the job is tried again. */
  readonly bury: (job: DeadJob, reason: string, firstFailureAt: number) => Promise<void>
}

export interface JobTryPorts {
  readonly clock: Clock
  readonly random: Random
  /** Has no worker take a job of the queue for so many milliseconds. */
  readonly pause: (ms: number) => Promise<void>
  /** Whether a job must not be passed by those behind it. */
  readonly ordered: boolean
}

/** How long a job waits, about, whose outcome could not be accounted for. */
const UNACCOUNTED_DELAY_MS = 4000

/** Returns where the job is done with; rejects, for BullMQ, where it is to be given again. */
export async function tryJob<B>(job: Job, token: string, options: JobTryOptions<B>, ports: JobTryPorts): Promise<void> {
  // BullMQ would keep the stack of each failed try in the job: megabytes after a day.
  job.opts.stackTraceLimit = 0
  let next: Again | Hold | undefined
  try {
    next = await consumeJob(job, options, ports)
  } catch (error) {
    // Redis is away or refuses writes: that is no failure of this batch, so it counts as no try.
    const afterMs = UNACCOUNTED_DELAY_MS * (0.5 + ports.random())
    if (ports.ordered) return hold({ kind: 'hold', afterMs, error }, ports)
    await job.moveToDelayed(ports.clock.now() + Math.ceil(afterMs), token)
    throw new DelayedError()
  }
  if (next === undefined) return
  if (next.kind === 'hold') return hold(next, ports)
  if (next.pauseMs !== undefined) await ports.pause(next.pauseMs)
  // BullMQ reads these when the job fails, and keeps them to itself.
  job.opts.attempts = job.attemptsMade + 2
  job.opts.backoff = { type: 'fixed', delay: Math.max(1, Math.ceil(next.afterMs)) }
  throw new Error(reasonOf(next.error))
}

async function consumeJob<B>(
  job: Job,
  { read, write, consume, bury, add }: JobTryOptions<B>,
  { clock }: JobTryPorts,
): Promise<Again | Hold | undefined> {
  const noted = (typeof job.progress === 'object' ? job.progress : {}) as { firstFailureAt?: number }
  const firstFailureAt = noted.firstFailureAt ?? clock.now()
  let batch: B
  try {
    batch = read(job.data)
  } catch (error) {
    await bury(job, reasonOf(error), firstFailureAt)
    return undefined
  }
  const attempt = {
    before: job.attemptsMade,
    ageMs: Math.max(0, clock.now() - job.timestamp),
    // A try that failed was counted when it ended: what was started more often has an end that nobody saw.
    takenOver: job.attemptsStarted > job.attemptsMade + 1,
  }
  for (;;) {
    const outcome = await consume(batch, attempt)
    if (outcome.kind === 'delivered') return undefined
    if (outcome.kind === 'ended') {
      await bury(job, reasonOf(outcome.error), firstFailureAt)
      return undefined
    }
    if (outcome.kind === 'part') {
      const { id, attemptsMade, timestamp } = job
      if (outcome.ledger !== undefined) {
        await job.updateData(write(outcome.ledger.note))
        await outcome.ledger.count()
      }
      for (const part of outcome.ended) {
        await bury({ id, attemptsMade, data: write(part.batch) }, reasonOf(part.outcome.error), firstFailureAt)
      }
      for (const more of outcome.more.toReversed()) await add?.(more, timestamp)
      batch = outcome.rest
      await job.updateData(write(batch))
      if (outcome.next === undefined) continue
    }
    if (noted.firstFailureAt === undefined) await job.updateProgress({ firstFailureAt })
    return outcome.kind === 'part' ? outcome.next : outcome
  }
}

// Back to the head of the queue, and counted as no try.
async function hold({ afterMs }: Hold, { pause }: JobTryPorts): Promise<never> {
  await pause(afterMs)
  throw Worker.RateLimitError()
}
