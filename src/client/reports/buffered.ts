// What is in the buffer of reports: batches as they came, and calls that are packed to be sent.

import type { BatchIds } from '../../kernel/batch-ids.ts'
import { zlib } from '../../kernel/late-modules.ts'
import type { ReportBatch } from '../../kernel/report.ts'
import type { ReportOutcome } from '../../kernel/services.ts'
import { encodeReportCall } from '../../wire/reports/report-call.ts'

/** More takes twice the time for a tenth less. */
const LEVEL = 1
/** What an entry weighs beside its payload, about. */
const OVERHEAD_BYTES = 256

/** One batch. */
export interface Buffered {
  readonly batch: ReportBatch
  readonly bytes: number
  /** When it is to go on its way, on the monotonic clock; with others sooner. */
  readonly due: number
  /** Somebody waits for it: it counts as accepted when a node has it. */
  readonly settle: Settle | undefined
}

export type Settle = (outcome: ReportOutcome) => void

/** Batches of one call, ready to be sent. */
export interface PackedCall {
  /** Who waits for it. */
  readonly waiting: readonly Settle[]
  /** The message; what was dropped is put behind it when it is first sent. */
  readonly message: Uint8Array
  /** Records, with those that somebody waits for. */
  readonly count: number
  /** Records that were accepted: that nobody waits for. */
  readonly accepted: number
}

/** What a batch weighs in memory, about. */
export function weightOf({ payload }: ReportBatch): number {
  return payload.byteLength + OVERHEAD_BYTES
}

/** Packs batches into one call, compressed where that makes it smaller; on a thread of its own. */
export async function packedCall({ next, process }: BatchIds, buffered: readonly Buffered[]): Promise<PackedCall> {
  const plain = Buffer.concat(buffered.map(({ batch }) => batch.payload))
  // What cannot be compressed, for want of memory say, goes as it is.
  const small = await compressed(plain).catch(() => plain)
  const isCompressed = small.length < plain.length
  const parts = buffered.map(({ batch: { format, count, payload, acceptedAt } }) => {
    return { format, count, size: payload.byteLength, acceptedAt }
  })
  const message = encodeReportCall({
    id: next(),
    sender: process,
    parts,
    isCompressed,
    payloads: isCompressed ? small : plain,
  })
  let count = 0
  let accepted = 0
  for (const { batch, settle } of buffered) {
    count += batch.count
    if (settle === undefined) accepted += batch.count
  }
  const waiting = buffered.flatMap(({ settle }) => settle ?? [])
  return { waiting, message, count, accepted }
}

/** A call without records, for what is to be told. */
export function emptyCall({ next, process }: BatchIds): PackedCall {
  const content = { parts: [], isCompressed: false, payloads: new Uint8Array(0) }
  return { waiting: [], message: encodeReportCall({ id: next(), sender: process, ...content }), count: 0, accepted: 0 }
}

function compressed(plain: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    zlib().gzip(plain, { level: LEVEL }, (error, small) => (error === null ? resolve(small) : reject(error)))
  })
}
