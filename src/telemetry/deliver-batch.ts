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
  readonly instances: readonly Instance[]
  /** How often it came back from the dead letters. */
  readonly replays: number
}

/** The job data of a batch. `count` is the number of instances, for tools. */
export interface DeliverJob {
  readonly version: 1
  readonly id: string
  readonly handler: string
  readonly template: string
  readonly count: number
  readonly replays: number
  readonly instances: readonly InstanceJson[]
}

export function batchToJob({ instances, ...head }: DeliverBatch): DeliverJob {
  return { version: 1, ...head, count: instances.length, instances: instances.map(instanceToJson) }
}

/** @throws IntermixError INVALID_REQUEST where the data is of another version or damaged. */
export function batchFromJob(job: unknown): DeliverBatch {
  const { version, id, handler, template, instances, replays = 0 } = (job ?? {}) as Partial<DeliverJob>
  if (version !== 1) {
    throw new IntermixError(
      'INVALID_REQUEST',
      `a deliver job has version ${String(version)}; this worker reads version 1`,
    )
  }
  if (typeof id !== 'string' || typeof handler !== 'string' || template === undefined || !Array.isArray(instances)) {
    throw new IntermixError('INVALID_REQUEST', 'a deliver job lacks its id, handler, template or instances')
  }
  return { id, handler, template, replays, instances: (instances as InstanceJson[]).map(instanceFromJson) }
}
