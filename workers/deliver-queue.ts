// The queue of one handler in Redis, with all its shards, as the fan-out fills it.

import type { JobsOptions } from 'bullmq'
import type { SendingQueue } from '../src/adapter-kit/exporter/sending-queue.ts'
import { batchToJob, type DeliverBatch, sizeOf } from '../src/telemetry/deliver-batch.ts'
import { IntermixError } from '../src/kernel/errors.ts'
import { jobOptions } from '../src/telemetry/job-options.ts'
import type { Replication, Written } from '../src/redis/replication.ts'
import { LinkQueue } from '../src/telemetry/link-queue.ts'
import { shardOf } from '../src/telemetry/queue-shards.ts'
import { ShardChoice } from '../src/telemetry/shard-choice.ts'
import type { WorkerContext } from './worker-context.ts'

const ADD_TIMEOUT_MS = 5000
/** Where another shard may take it instead. */
const ADD_ELSEWHERE_MS = 1000
/** A part that was added is known by its id for so long: a crash may have it added again after it was delivered. */
const REMEMBER_PART_MS = 3_600_000
/** What a job takes in Redis, by the size of its batch: with what Redis adds, and while it is read it is there twice. */
const BYTES_PER_BYTE = 2
const BYTES_PER_JOB = 2048

/** Takes every batch, once there is memory for it: what is beyond a handler's share does not come here. */
export class DeliverQueue implements SendingQueue<DeliverBatch> {
  readonly #context: WorkerContext
  readonly #handler: string
  readonly #choice: ShardChoice
  readonly #queues = new Map<string, LinkQueue>()
  /** Whether the handler wants its batches in order: then all go to one shard, and wait for it. */
  ordered = false

  constructor(context: WorkerContext, handler: string) {
    const { clock, shards, memory } = context
    this.#context = context
    this.#handler = handler
    this.#choice = new ShardChoice({ clock, shards, isFull: (shard) => memory.isFull(this.#nameOf(shard)) })
  }

  /** @throws IntermixError REDIS_UNAVAILABLE */
  add(batch: DeliverBatch): Promise<boolean> {
    return this.#add(batch, undefined)
  }

  /**
   * The same queue for what was promised as replicated: what is added is in replicas, too. One server loses what it last
   * took in one piece, and with it that the parcel was worked off; several do not.
   */
  get replicated(): SendingQueue<DeliverBatch> {
    const { replication } = this.#context
    return replication?.spansServers === true ? { add: (batch) => this.#add(batch, replication) } : this
  }

  async #add(batch: DeliverBatch, replication: Replication | undefined): Promise<boolean> {
    const { shards, memory } = this.#context
    const isAlone = this.ordered || shards.own === 1
    const to = (shard: number) => this.#addTo(shard, batch, jobOptions(batch.id), isAlone, replication)
    for (;;) {
      try {
        const written = await this.#choice.add(batch.id, to, this.ordered ? 0 : undefined)
        // Not while a shard is chosen: it has the batch, and another one would have it, too.
        await written?.replicated()
        return true
      } catch (error) {
        if (isAlone || !(error instanceof IntermixError && error.code === 'OVERLOADED')) throw error
        await memory.room(this.#nameOf(shardOf(batch.id, shards.own)), bytesOf(batch))
      }
    }
  }

  /**
   * Puts a part of a batch before all that waits in the shard from which the batch was taken, as if queued at that time.
   * @throws IntermixError REDIS_UNAVAILABLE
   */
  async addPart(shard: number, batch: DeliverBatch, since: number): Promise<void> {
    const options = { ...jobOptions(batch.id, REMEMBER_PART_MS), lifo: true, timestamp: since }
    await this.#addTo(shard, batch, options, true)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()))
  }

  /**
   * @param waits for room, or asks once whether there is some
   * @returns what is to be asked whether replicas have it, where that is wanted
   */
  async #addTo(
    shard: number,
    batch: DeliverBatch,
    options: JobsOptions,
    waits: boolean,
    replication?: Replication,
  ): Promise<Written<unknown> | undefined> {
    const { memory, names } = this.#context
    const name = this.#nameOf(shard)
    await (waits ? memory.room(name, bytesOf(batch)) : memory.roomNow(name, bytesOf(batch)))
    const timeoutMs = waits ? ADD_TIMEOUT_MS : ADD_ELSEWHERE_MS
    const run = () => this.#queue(name).run((to) => to.add('deliver', batchToJob(batch), options), timeoutMs)
    if (replication !== undefined) return await replication.write(names.metaKey(name), run)
    await run()
    return undefined
  }

  #nameOf(shard: number): string {
    return this.#context.names.deliver(this.#handler, shard)
  }

  #queue(name: string): LinkQueue {
    const { link, names } = this.#context
    let queue = this.#queues.get(name)
    if (queue === undefined) this.#queues.set(name, (queue = new LinkQueue(link, name, names.keyPrefix(name))))
    return queue
  }
}

function bytesOf(batch: DeliverBatch): number {
  return BYTES_PER_JOB + BYTES_PER_BYTE * sizeOf(batch)
}
