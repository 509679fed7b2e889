// What a handler receives at once: instances of one template, under an id that stays the same over all retries.

import type { Instance } from '../adapter-kit/instance.ts'
import { IntermixError } from '../kernel/errors.ts'
import { type InstanceJson, instanceFromJson, instanceToJson } from './instance-json.ts'

export interface DeliverBatch {
  /** Letters, digits and `-`: an idempotency key for backends. */
  readonly id: string
  /** Fully qualified handler name. */
  readonly handler: string
  readonly template: string
  /** How many instances it stands for: those that it lists, or those that were added up. */
  readonly count: number
  /** None where they were added up. */
  readonly instances: readonly Instance[]
  /** What an aggregation of the adapter made of them. */
  readonly aggregate?: object
  /** What the content takes as JSON, where that is known. */
  readonly bytes?: number
  /** How often it came back from the dead letters. */
  readonly replays: number
  /** The batch that this is what goes on of, while the ledger may not know that yet. */
  readonly owed?: Owed
}

/** What a batch has become beside its rest: one that was taken apart is none any more. */
export interface Owed {
  readonly id: string
  readonly delivered: number
  readonly ended: readonly {
    readonly batch: DeliverBatch
    readonly why: 'refused' | 'failed'
    readonly reason: string
  }[]
  readonly more: readonly DeliverBatch[]
}

/** What the queue keeps of a job beside its content. */
const HEAD_BYTES = 400

/** The job data of a batch. */
export interface DeliverJob {
  readonly version: 1
  readonly id: string
  readonly handler: string
  readonly template: string
  readonly count: number
  readonly replays: number
  readonly instances: readonly InstanceJson[]
  readonly aggregate?: object
  readonly owed?: OwedJob
}

interface OwedJob extends Omit<Owed, 'ended' | 'more'> {
  readonly ended: readonly (Omit<Owed['ended'][number], 'batch'> & { readonly batch: DeliverJob })[]
  readonly more: readonly DeliverJob[]
}

export function batchToJob(batch: DeliverBatch): DeliverJob {
  const { id, handler, template, count, replays, instances, aggregate, owed } = batch
  const head = { version: 1 as const, id, handler, template, count, replays, instances: instances.map(instanceToJson) }
  const job = aggregate === undefined ? head : { ...head, aggregate }
  if (owed === undefined) return job
  const ended = owed.ended.map((each) => ({ ...each, batch: batchToJob(each.batch) }))
  return { ...job, owed: { ...owed, ended, more: owed.more.map(batchToJob) } }
}

/** @throws IntermixError INVALID_REQUEST where the data is of another version or damaged. */
export function batchFromJob(job: unknown): DeliverBatch {
  const {
    version,
    id,
    handler,
    template,
    count,
    instances,
    aggregate,
    owed,
    replays = 0,
  } = (job ?? {}) as Partial<DeliverJob>
  if (version !== 1) {
    throw new IntermixError(
      'INVALID_REQUEST',
      `a deliver job has version ${String(version)}; this worker reads version 1`,
    )
  }
  if (typeof id !== 'string' || typeof handler !== 'string' || template === undefined || !Array.isArray(instances)) {
    throw new IntermixError('INVALID_REQUEST', 'a deliver job lacks its id, handler, template or instances')
  }
  const listed = (instances as InstanceJson[]).map(instanceFromJson)
  const head = { id, handler, template, replays, ...(owed === undefined ? {} : { owed: owedFromJob(owed) }) }
  if (aggregate === undefined) return { ...head, count: listed.length, instances: listed }
  if (!Number.isSafeInteger(count) || typeof aggregate !== 'object' || aggregate === null) {
    throw new IntermixError('INVALID_REQUEST', 'a deliver job lacks the count of what was added up')
  }
  return { ...head, count: count as number, instances: [], aggregate }
}

function owedFromJob(owed: OwedJob): Owed {
  const ended = owed.ended.map((each) => ({ ...each, batch: batchFromJob(each.batch) }))
  return { ...owed, ended, more: owed.more.map(batchFromJob) }
}

/** Roughly the bytes that a batch takes in a queue: as if all its instances were as long as the first one. */
export function sizeOf({ instances, aggregate, bytes }: DeliverBatch): number {
  const [first] = instances
  if (first !== undefined) return HEAD_BYTES + jsonSize(first) * instances.length
  return HEAD_BYTES + (bytes ?? JSON.stringify(aggregate ?? {}).length)
}

function jsonSize(instance: Instance): number {
  return JSON.stringify(instanceToJson(instance)).length
}
