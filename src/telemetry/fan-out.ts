// What comes of a parcel, with Redis and without: counted in, evaluated, given to the queues of its handlers, and what
// could not be read accounted for.

import type { SendingQueue } from '../adapter-kit/exporter/sending-queue.ts'
import type { Vocabulary } from '../kernel/attribute-bag.ts'
import type { Logger } from '../kernel/ports.ts'
import type { ReportBatch, ReportFormats } from '../kernel/report.ts'
import type { DeliverBatch } from './deliver-batch.ts'
import { expandParcel, type ReportDispatch } from './expand.ts'
import { FAN_OUT, type Ledger } from './ledger.ts'
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
  queueOf(handler: string): SendingQueue<DeliverBatch>
  /** Accounts for reports that cannot be read or evaluated, kept or dropped. */
  unreadable(batch: ReportBatch, reason: string): Promise<void>
}

/** Once it settles, each record of the parcel is accounted for. After a rejection the same again doubles nothing. */
export async function fanOut(parcel: Parcel, rules: FanOutRules, ports: FanOutPorts): Promise<void> {
  // Counted first: what is in between after a crash counts as held, not as never seen.
  if (parcel.replays === 0) await countRecords(ports.ledger, parcel.id, 'accepted', parcel.count)
  const { batches, failed } = await expandParcel(parcel, { formats: ports.formats, ...rules })
  await Promise.all(batches.map((batch) => hand(batch, ports)))
  let lost = 0
  for (const { batch, reason } of failed) {
    lost += batch.count
    await ports.unreadable(batch, reason)
  }
  if (parcel.count > lost) await countRecords(ports.ledger, parcel.id, 'delivered', parcel.count - lost)
}

/** Counts records of a parcel, or of a batch in it, at the fan-out. */
export function countRecords(
  ledger: Ledger,
  id: string,
  event: 'accepted' | 'delivered' | 'dropped:unreadable',
  count: number,
): Promise<void> {
  return ledger.count(`${id}:${FAN_OUT}:${event}`, FAN_OUT, event, count)
}

async function hand(batch: DeliverBatch, ports: FanOutPorts): Promise<void> {
  const { ledger, log } = ports
  const { id, handler, count } = batch
  await ledger.count(`${id}:accepted`, handler, 'accepted', count)
  if (await ports.queueOf(handler).add(batch)) return
  log.warn({ id, handler, instances: count }, 'a batch was dropped: the queue of its handler is full')
  await ledger.count(`${id}:dropped`, handler, 'dropped:queue-full', count)
}
