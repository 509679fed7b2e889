// The queue of one handler in Redis, as the fan-out fills it.

import type { SendingQueue } from '../src/adapter-kit/exporter/sending-queue.ts'
import { batchToJob, type DeliverBatch, sizeOf } from '../src/telemetry/deliver-batch.ts'
import { jobOptions } from '../src/telemetry/job-options.ts'
import { LinkQueue } from '../src/telemetry/link-queue.ts'
import type { WorkerContext } from './worker-context.ts'

const ADD_TIMEOUT_MS = 5000
/** A part that was added is known by its id for so long: a crash may have it added again after it was delivered. */
const REMEMBER_PART_MS = 3_600_000
/** What a job takes in Redis, by the size of its batch: with what Redis adds, and while it is read it is there twice. */
const BYTES_PER_BYTE = 2
const BYTES_PER_JOB = 2048

/** Takes every batch, once there is memory for it: what is beyond a handler's share does not come here. */
export class DeliverQueue implements SendingQueue<DeliverBatch> {
  readonly #name: string
  readonly #memory: WorkerContext['memory']
  readonly #queue: LinkQueue

  constructor(context: WorkerContext, handler: string) {
    const { link, names, memory } = context
    const name = names.deliver(handler)
    this.#name = name
    this.#memory = memory
    this.#queue = new LinkQueue(link, name, names.keyPrefix(name))
  }

  /**
   * @param first puts it before all that waits, as if queued at that time
   * @throws IntermixError REDIS_UNAVAILABLE
   */
  async add(batch: DeliverBatch, first?: { readonly since: number }): Promise<boolean> {
    const options =
      first === undefined
        ? jobOptions(batch.id)
        : { ...jobOptions(batch.id, REMEMBER_PART_MS), lifo: true, timestamp: first.since }
    await this.#memory.room(this.#name, BYTES_PER_JOB + BYTES_PER_BYTE * sizeOf(batch))
    await this.#queue.run((to) => to.add('deliver', batchToJob(batch), options), ADD_TIMEOUT_MS)
    return true
  }

  close(): Promise<void> {
    return this.#queue.close()
  }
}
