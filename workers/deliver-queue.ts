// The queue of one handler in Redis, as the fan-out fills it.

import type { SendingQueue } from '../src/adapter-kit/exporter/sending-queue.ts'
import { batchToJob, type DeliverBatch } from '../src/telemetry/deliver-batch.ts'
import { jobOptions } from '../src/telemetry/job-options.ts'
import { LinkQueue } from '../src/telemetry/link-queue.ts'
import type { WorkerContext } from './worker-context.ts'

const ADD_TIMEOUT_MS = 5000

/** Takes every batch: nodes hold back before Redis is full. */
export class DeliverQueue implements SendingQueue<DeliverBatch> {
  readonly #queue: LinkQueue

  constructor(context: WorkerContext, handler: string) {
    const { link, names } = context
    const name = names.deliver(handler)
    this.#queue = new LinkQueue(link, name, names.keyPrefix(name))
  }

  /** @throws IntermixError REDIS_UNAVAILABLE */
  async add(batch: DeliverBatch): Promise<boolean> {
    await this.#queue.run((to) => to.add('deliver', batchToJob(batch), jobOptions(batch.id)), ADD_TIMEOUT_MS)
    return true
  }

  close(): Promise<void> {
    return this.#queue.close()
  }
}
