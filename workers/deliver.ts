// Delivers one handler's batches: each handler has a queue and a worker of its own, so a slow one delays no other.

import type { Attempt, Outcome } from '../src/adapter-kit/exporter/sending-queue.ts'
import { DEFAULT_EXPORT_LIMITS } from '../src/adapter-kit/exporter/limits.ts'
import { letterId } from '../src/telemetry/dead-letters.ts'
import { batchFromJob, batchToJob, type DeliverBatch, type DeliverJob } from '../src/telemetry/deliver-batch.ts'
import { type DeliverTarget, HandlerDelivery, persistently } from '../src/telemetry/handler-delivery.ts'
import { DeliverQueue } from './deliver-queue.ts'
import type { DeadJob } from './job-try.ts'
import { ShardedJobs } from './sharded-jobs.ts'
import type { WorkerContext } from './worker-context.ts'

/** By then an add to another shard has taken place. */
const MAYBE_TWICE_MS = 1000

/** The delivery to one handler; without a target it turns what waits into dead letters. */
export class Deliver {
  readonly #context: WorkerContext
  readonly #name: string
  readonly #delivery: HandlerDelivery
  readonly #queue: ShardedJobs<DeliverBatch>
  readonly #parts: DeliverQueue

  constructor(context: WorkerContext, handlerName: string, target: DeliverTarget | undefined) {
    this.#context = context
    this.#name = handlerName
    this.#delivery = new HandlerDelivery(
      { ...context, handler: handlerName, hasSettled: (id) => context.ledger.hasSettled(handlerName, id) },
      target,
    )
    this.#parts = new DeliverQueue(context, handlerName)
    this.#queue = new ShardedJobs(context, {
      label: handlerName,
      limits: target?.limits ?? { ...DEFAULT_EXPORT_LIMITS, concurrency: context.tuning.concurrency },
      shard: (shard) => ({
        queue: context.names.deliver(handlerName, shard),
        needsRoom: false,
        read: batchFromJob,
        write: batchToJob,
        consume: (batch, attempt) => this.#consume(batch, attempt),
        add: (batch, since) => this.#parts.addPart(shard, batch, since),
        bury: (job, reason, firstFailureAt) => this.#bury(job, reason, firstFailureAt),
      }),
    })
  }

  /** `undefined` for a handler that has vanished. */
  get target(): DeliverTarget | undefined {
    return this.#delivery.target
  }

  /** Follows the config; jobs in work keep the target that they have. */
  retarget(target: DeliverTarget): void {
    this.#delivery.target = target
    this.#queue.limits = target.limits
  }

  async stop(deadlineMs: number): Promise<void> {
    await this.#queue.stop(deadlineMs)
    await this.#parts.close()
  }

  async #consume(batch: DeliverBatch, attempt: Attempt): Promise<Outcome<DeliverBatch>> {
    // A shard that did not answer may hold what another one took then, and delivered meanwhile.
    const isTwice = attempt.ageMs > MAYBE_TWICE_MS && this.#context.shards.known > 1
    try {
      return await this.#delivery.consume(batch, isTwice ? { ...attempt, takenOver: true } : attempt)
    } finally {
      this.#queue.concurrency = this.#delivery.concurrency
    }
  }

  /** Makes a dead letter of a job. */
  async #bury(job: DeadJob, reason: string, firstFailureAt = this.#context.clock.now()): Promise<void> {
    const { deadLetters, clock, log } = this.#context
    const data = job.data as DeliverJob
    const target = this.#delivery.target?.address
    log.warn({ id: data.id, handler: this.#name, reason, instances: data.count }, 'a batch became a dead letter')
    await persistently(clock, () =>
      deadLetters.add({
        version: 1,
        id: letterId(typeof data.id === 'string' ? data.id : `job-${job.id}`, data.replays ?? 0),
        handler: this.#name,
        template: data.template ?? '',
        ...(target === undefined ? {} : { target }),
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
}
