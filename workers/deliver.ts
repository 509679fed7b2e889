// Delivers one handler's batches: each handler has a queue and a worker of its own, so a slow one delays no other.

import type { Job, Worker } from 'bullmq'
import type { Handler } from '../src/adapter-kit/define-adapter.ts'
import { callHandler, isPermanent, reasonOf } from '../src/telemetry/call-handler.ts'
import { letterId } from '../src/telemetry/dead-letters.ts'
import { batchFromJob, type DeliverJob } from '../src/telemetry/deliver-batch.ts'
import { DeliveryWatch } from '../src/telemetry/delivery-watch.ts'
import {
  firstFailureOf,
  isLastAttempt,
  persistently,
  startWorker,
  stopWorker,
  type WorkerContext,
} from './worker-context.ts'

/** A running handler with the deadline of its calls. */
export interface DeliverTarget {
  readonly handler: Handler
  readonly timeoutMs: number
}

/** The delivery to one handler; without a target it turns what waits into dead letters. */
export class Deliver {
  readonly #context: WorkerContext
  readonly #name: string
  readonly #worker: Worker
  readonly #watch: DeliveryWatch
  /** Replaced when the config changes; jobs in work keep theirs. `undefined` for a handler that has vanished. */
  target: DeliverTarget | undefined

  constructor(context: WorkerContext, handlerName: string, target: DeliverTarget | undefined) {
    this.#context = context
    this.#name = handlerName
    this.target = target
    this.#watch = new DeliveryWatch({ ...context, handler: handlerName })
    this.#worker = startWorker(context, context.names.deliver(handlerName), (job) => this.#process(job))
  }

  stop(deadlineMs: number): Promise<void> {
    return stopWorker(this.#worker, this.#context, deadlineMs)
  }

  /** Makes a dead letter of a job. */
  async bury(job: Job, reason: string, firstFailureAt = this.#context.clock.now()): Promise<void> {
    const { deadLetters, clock, log } = this.#context
    const data = job.data as DeliverJob
    log.warn({ id: data.id, handler: this.#name, reason, instances: data.count }, 'a batch became a dead letter')
    await persistently(clock, () =>
      deadLetters.add({
        version: 1,
        id: letterId(typeof data.id === 'string' ? data.id : `job-${job.id}`, data.replays ?? 0),
        handler: this.#name,
        template: data.template ?? '',
        count: Number.isSafeInteger(data.count) ? data.count : 0,
        reason,
        attempts: job.attemptsMade + 1,
        firstFailureAt,
        lastFailureAt: clock.now(),
        replays: data.replays ?? 0,
        content: { kind: 'instances', job: data },
      }),
    )
  }

  async #process(job: Job): Promise<void> {
    const { target } = this
    if (target === undefined) return this.bury(job, `handler ${this.#name} is not in the config any more`)
    const { clock, ledger } = this.#context
    let count: number
    let id: string
    try {
      const batch = batchFromJob(job.data)
      count = batch.instances.length
      id = batch.id
      await callHandler(target.handler, batch, { clock, timeoutMs: target.timeoutMs })
    } catch (error) {
      this.#watch.failed(error)
      const firstFailureAt = await firstFailureOf(job, clock)
      if (!isPermanent(error) && !isLastAttempt(job)) throw error
      return this.bury(job, reasonOf(error), firstFailureAt)
    }
    this.#watch.delivered()
    await persistently(clock, () => ledger.count(`${id}:delivered`, this.#name, 'delivered', count))
  }
}
