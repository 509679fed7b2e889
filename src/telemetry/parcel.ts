// A parcel: the report batches that travel through spool and queue as one job.

import { IntermixError } from '../kernel/errors.ts'
import type { ReportBatch } from '../kernel/report.ts'

/** One or several batches. The id is that of the first batch unless a replay gave it another: as unique as batches are. */
export interface Parcel {
  readonly id: string
  readonly batches: readonly ReportBatch[]
  /** Records in all batches. */
  readonly count: number
  /** What it weighs in memory. */
  readonly bytes: number
  /** How often it came back from the dead letters. */
  readonly replays: number
  /** Digest of the report rules under which it was accepted, and is to be evaluated; `undefined`: of whoever takes it. */
  readonly rules: string | undefined
  /** Whether it was promised as replicated: whoever hands it on lets go of it only when replicas have it. */
  readonly replicated?: boolean
}

/** The job data of a parcel: a plain header for tools, payloads in base64. */
export interface ParcelJob {
  readonly version: 1
  readonly id: string
  readonly count: number
  readonly replays: number
  readonly rules?: string | undefined
  readonly replicated?: boolean
  readonly batches: readonly {
    readonly id: string
    readonly format: string
    readonly count: number
    readonly acceptedAt: number
    readonly payload: string
  }[]
}

const OVERHEAD_BYTES = 256

/** What a batch weighs in memory, about. */
export function bytesOf({ payload }: ReportBatch): number {
  return payload.byteLength + OVERHEAD_BYTES
}

/** Puts batches together; there is at least one. */
export function parcelOf(
  batches: readonly [ReportBatch, ...ReportBatch[]],
  id = batches[0].id,
  replays = 0,
  rules?: string,
): Parcel {
  let count = 0
  let bytes = 0
  for (const batch of batches) {
    count += batch.count
    bytes += bytesOf(batch)
  }
  return { id, batches, count, bytes, replays, rules }
}

export function parcelToJob(parcel: Parcel): ParcelJob {
  const batches = parcel.batches.map(({ id, format, count, acceptedAt, payload }) => ({
    id,
    format,
    count,
    acceptedAt,
    payload: Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('base64'),
  }))
  const { id, count, replays, rules, replicated } = parcel
  return { version: 1, id, count, replays, rules, ...(replicated === true ? { replicated } : {}), batches }
}

/** The process whose doors took a batch: ids begin with its name (`kernel/batch-ids.ts`). */
export function processOf(batchId: string): string {
  return batchId.slice(0, Math.max(batchId.lastIndexOf('-'), 0)) || batchId
}

/** @throws IntermixError INVALID_REQUEST where the data is of another version or damaged. */
export function parcelFromJob(job: unknown): Parcel {
  const { version, id, replays, rules, replicated, batches } = (job ?? {}) as Partial<ParcelJob>
  if (version !== 1) {
    throw new IntermixError(
      'INVALID_REQUEST',
      `a report job has version ${String(version)}; this worker reads version 1`,
    )
  }
  if (!Array.isArray(batches)) throw new IntermixError('INVALID_REQUEST', 'a report job holds no list of batches')
  const [first, ...rest] = (batches as ParcelJob['batches']).map((batch) => {
    if (typeof batch?.id !== 'string' || typeof batch.payload !== 'string' || !Number.isSafeInteger(batch.count)) {
      throw new IntermixError('INVALID_REQUEST', 'a batch of a report job lacks its id, count or payload')
    }
    return { ...batch, payload: new Uint8Array(Buffer.from(batch.payload, 'base64')) }
  })
  if (first === undefined) throw new IntermixError('INVALID_REQUEST', 'a report job holds no batch')
  return asPromised(parcelOf([first, ...rest], id, replays, rules), replicated)
}

/** The same parcel, marked where it was promised as replicated. */
export function asPromised(parcel: Parcel, replicated: unknown): Parcel {
  return replicated === true ? { ...parcel, replicated } : parcel
}
