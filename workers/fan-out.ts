// Consumes report parcels: decodes them, evaluates the report rules, and gives each handler its own jobs.

import type { Job, Worker } from 'bullmq'
import type { Vocabulary } from '../src/kernel/attribute-bag.ts'
import type { ReportFormats } from '../src/kernel/report.ts'
import { isPermanent, reasonOf } from '../src/telemetry/call-handler.ts'
import { FAN_OUT, letterId } from '../src/telemetry/dead-letters.ts'
import { batchToJob, type DeliverBatch } from '../src/telemetry/deliver-batch.ts'
import { expandParcel, type ReportDispatch } from '../src/telemetry/expand.ts'
import { jobOptions } from '../src/telemetry/job-options.ts'
import { LinkQueue } from '../src/telemetry/link-queue.ts'
import { type Parcel, type ParcelJob, parcelFromJob, parcelOf, parcelToJob } from '../src/telemetry/parcel.ts'
import { firstFailureOf, isLastAttempt, startWorker, stopWorker, type WorkerContext } from './worker-context.ts'

const ADD_TIMEOUT_MS = 5000

/** How to read and evaluate reports; replaced as a whole when the config changes. */
export interface FanOutRules {
  readonly vocabulary: Vocabulary
  readonly dispatch: ReportDispatch
}

/** The fan-out of one process. */
export class FanOut {
  readonly #context: WorkerContext
  readonly #formats: ReportFormats
  readonly #worker: Worker
  readonly #queues = new Map<string, LinkQueue>()
  #rules: FanOutRules

  constructor(context: WorkerContext, formats: ReportFormats, rules: FanOutRules) {
    this.#context = context
    this.#formats = formats
    this.#rules = rules
    this.#worker = startWorker(context, context.names.reports, (job) => this.#process(job))
  }

  /** Jobs that start from now on follow the new rules. */
  reload(rules: FanOutRules, handlers: ReadonlySet<string>): void {
    this.#rules = rules
    for (const [handler, queue] of this.#queues) {
      if (handlers.has(handler)) continue
      this.#queues.delete(handler)
      void queue.close()
    }
  }

  async stop(deadlineMs: number): Promise<void> {
    await stopWorker(this.#worker, this.#context, deadlineMs)
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()))
    this.#queues.clear()
  }

  async #process(job: Job): Promise<void> {
    try {
      await this.#expand(job, parcelFromJob(job.data))
    } catch (error) {
      const firstFailureAt = await firstFailureOf(job, this.#context.clock)
      if (!isPermanent(error) && !isLastAttempt(job)) throw error
      await this.bury(job, reasonOf(error), firstFailureAt)
    }
  }

  /** Makes a dead letter of a whole job. */
  async bury(job: Job, reason: string, firstFailureAt = this.#context.clock.now()): Promise<void> {
    const data = job.data as ParcelJob
    const count = Number.isSafeInteger(data.count) ? data.count : 0
    const id = typeof data.id === 'string' ? data.id : `job-${job.id}`
    if (!(data.replays > 0)) await this.#count(id, 'accepted', count)
    await this.#letter({ id, job: data, count, reason, attempts: job.attemptsMade + 1, firstFailureAt })
  }

  async #expand(job: Job, parcel: Parcel): Promise<void> {
    const { vocabulary, dispatch } = this.#rules
    // Counted first: what is in between after a crash counts as held, not as never seen.
    if (parcel.replays === 0) await this.#count(parcel.id, 'accepted', parcel.count)
    const { batches, failed } = await expandParcel(parcel, { formats: this.#formats, vocabulary, dispatch })
    await Promise.all(batches.map((batch) => this.#add(batch)))
    let lost = 0
    for (const { batch, reason } of failed) {
      lost += batch.count
      const data = parcelToJob(parcelOf([batch], batch.id, parcel.replays))
      const attempts = job.attemptsMade + 1
      await this.#letter({ id: batch.id, job: data, count: batch.count, reason, attempts })
    }
    if (parcel.count > lost) await this.#count(parcel.id, 'delivered', parcel.count - lost)
  }

  async #add(batch: DeliverBatch): Promise<void> {
    const { ledger, names, link, tuning } = this.#context
    await ledger.count(`${batch.id}:accepted`, batch.handler, 'accepted', batch.instances.length)
    let queue = this.#queues.get(batch.handler)
    if (queue === undefined) {
      const name = names.deliver(batch.handler)
      queue = new LinkQueue(link, name, names.keyPrefix(name))
      this.#queues.set(batch.handler, queue)
    }
    const options = jobOptions(batch.id, tuning.retries)
    await queue.run((to) => to.add('deliver', batchToJob(batch), options), ADD_TIMEOUT_MS)
  }

  #count(id: string, event: 'accepted' | 'delivered', count: number): Promise<void> {
    return this.#context.ledger.count(`${id}:${FAN_OUT}:${event}`, FAN_OUT, event, count)
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
