// What comes of a parcel, with Redis and without: counted in, evaluated, given to the queues of its handlers, and what
// could not be read accounted for.

import type { SendingQueue } from '../adapter-kit/exporter/sending-queue.ts'
import type { Vocabulary } from '../kernel/attribute-bag.ts'
import type { Logger } from '../kernel/ports.ts'
import type { ReportBatch, ReportFormats } from '../kernel/report.ts'
import { type DeliverBatch, sizeOf } from './deliver-batch.ts'
import { expandParcel, type ReportDispatch } from './expand.ts'
import { FAN_OUT, type Ledger, type LedgerBatch, type LedgerLetter } from './ledger.ts'
import type { Parcel } from './parcel.ts'

/** How to read and evaluate reports; replaced as a whole when the config changes. */
export interface FanOutRules {
  readonly vocabulary: Vocabulary
  readonly dispatch: ReportDispatch
}

export interface FanOutPorts {
  readonly formats: ReportFormats
  readonly ledger: Ledger
  readonly log: Logger
  /** Where the batches for a handler wait. */
  readonly queueOf: (handler: string) => SendingQueue<DeliverBatch>
  /** Keeps reports that cannot be read or evaluated, under an id; without it they are dropped. */
  readonly letters?: {
    idOf(batch: ReportBatch): string
    keep(batch: ReportBatch, reason: string): Promise<void>
  }
  /** Bytes that may wait for a handler; unbounded unless given. */
  readonly shareOf?: (handler: string) => number | undefined
}

/** Once it settles, each record of the parcel is accounted for. After a rejection the same again doubles nothing. */
export async function fanOut(parcel: Parcel, rules: FanOutRules, ports: FanOutPorts): Promise<void> {
  const { ledger, letters, log } = ports
  const { batches, failed, notEvaluated, dropped } = await expandParcel(parcel, { formats: ports.formats, ...rules })
  // Counted before it is queued: what is in between after a crash counts as held, not as never seen.
  const { isFirst, waits, kept } = await ledger.arrive({
    parcel,
    batches: batches.map((batch) => entryOf(batch, ports)),
    letters: letters === undefined ? [] : failed.map(({ batch }) => letterOf(batch, letters.idOf(batch))),
    dropped: [
      ...dropped.map(({ reason, count }) => ({ handler: FAN_OUT, reason: `sidecar-${reason}`, count })),
      ...[...notEvaluated].map(([handler, count]) => ({ handler, reason: 'not-evaluated', count })),
      ...(letters === undefined
        ? failed.map(({ batch: { count } }) => ({ handler: FAN_OUT, reason: 'unreadable', count }))
        : []),
    ],
  })
  const waiting = Map.groupBy(
    batches.filter((_, i) => waits[i]),
    ({ handler }) => handler,
  )
  // Told of as a whole, where shares are: one line for each batch would be thousands.
  if (isFirst) for (const [i, { id }] of batches.entries()) if (!waits[i]) log.debug({ id }, 'beyond the share')
  // One after the other for each handler: some want them in order.
  await Promise.all(
    [...waiting.values()].map(async (inOrder) => {
      for (const batch of inOrder) await hand(batch, ports)
    }),
  )
  for (const [i, { batch, reason }] of failed.entries()) {
    if (letters === undefined)
      log.warn({ id: batch.id, reason, records: batch.count }, 'reports could not be evaluated')
    else if (kept[i]) await letters.keep(batch, reason)
  }
}

function letterOf({ count, payload }: Pick<ReportBatch, 'count' | 'payload'>, id: string): LedgerLetter {
  return { id, count, bytes: payload.byteLength }
}

function entryOf(batch: DeliverBatch, { shareOf }: FanOutPorts): LedgerBatch {
  const { id, handler, count } = batch
  const share = shareOf?.(handler)
  return { id, handler, count, bytes: sizeOf(batch), ...(share === undefined ? {} : { share }) }
}

async function hand(batch: DeliverBatch, { ledger, log, queueOf }: FanOutPorts): Promise<void> {
  const { id, handler, count } = batch
  if (await queueOf(handler).add(batch)) return
  warn(batch, log)
  await ledger.settle({ id, handler, dropped: { 'queue-full': count } })
}

function warn({ id, handler, count }: DeliverBatch, log: Logger): void {
  log.warn({ id, handler, instances: count }, 'a batch was dropped: the queue of its handler is full')
}
