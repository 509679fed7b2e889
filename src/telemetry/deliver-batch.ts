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
  /** How often it came back from the dead letters. */
  readonly replays: number
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
}

export function batchToJob({ instances, ...head }: DeliverBatch): DeliverJob {
  return { version: 1, ...head, instances: instances.map(instanceToJson) }
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
  if (aggregate === undefined) return { id, handler, template, replays, count: listed.length, instances: listed }
  if (!Number.isSafeInteger(count) || typeof aggregate !== 'object' || aggregate === null) {
    throw new IntermixError('INVALID_REQUEST', 'a deliver job lacks the count of what was added up')
  }
  return { id, handler, template, replays, count: count as number, instances: [], aggregate }
}

/** Roughly the bytes that a batch takes in a queue: as if all its instances were as long as the first one. */
export function sizeOf({ count, instances, aggregate }: DeliverBatch): number {
  const [first] = instances
  const content = first === undefined ? JSON.stringify(aggregate ?? {}).length : jsonSize(first) * count
  return HEAD_BYTES + content
}

function jsonSize(instance: Instance): number {
  return JSON.stringify(instanceToJson(instance)).length
}
