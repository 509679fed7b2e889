// The ledger of the fan-out and of handlers: accepted = delivered + held + dropped, each instance in one place at a time.

import { REPORT_INSTANCES_TOTAL } from '../kernel/metrics/reports.ts'
import type { Meter } from '../kernel/ports.ts'
import type { Parcel } from './parcel.ts'

/** The name under which the ledger counts records that fan-out reads. */
export const FAN_OUT = 'fan-out'

/** A batch that waits for its handler from now on. */
export interface LedgerBatch {
  readonly id: string
  readonly handler: string
  /** Instances that it stands for. */
  readonly count: number
  /** What it takes in the queue, as far as is known. */
  readonly bytes: number
  /** Bytes that may wait for the handler in all; beyond it the batch is dropped for `queue-full`. Unbounded unless set. */
  readonly share?: number
}

/** Reports that could not be read and become a dead letter. */
export interface LedgerLetter {
  readonly id: string
  readonly count: number
  readonly bytes: number
}

/** Instances (at the fan-out: records) that ended at once. */
export interface LedgerDrop {
  readonly handler: string
  readonly reason: string
  readonly count: number
}

/** All that a parcel made at the fan-out. */
export interface Arrival {
  readonly parcel: Pick<Parcel, 'id' | 'count' | 'replays'>
  readonly batches: readonly LedgerBatch[]
  readonly letters: readonly LedgerLetter[]
  readonly dropped: readonly LedgerDrop[]
}

export interface Arrived {
  /** Whether the parcel was counted now, for the first time. */
  readonly isFirst: boolean
  /** Which of the batches wait in the ledger, and belong into the queue. Those that do not were dropped, or have ended before. */
  readonly waits: readonly boolean[]
  /** The same of the letters. */
  readonly kept: readonly boolean[]
}

/** What became of a batch in the end: its parts add up to its count. */
export interface Settlement {
  readonly id: string
  readonly handler: string
  readonly delivered?: number
  /** By reason. */
  readonly dropped?: Readonly<Record<string, number>>
  /** What goes on as batches of their own. */
  readonly rest?: readonly Pick<LedgerBatch, 'id' | 'count' | 'bytes'>[]
  /** Set for a dead letter: which life of the batch it was. */
  readonly life?: number
}

/** Where it is counted what becomes of reports. */
export interface Ledger {
  /** Counts a parcel and all that it made, once. The same parcel again changes nothing and decides as the first time. */
  arrive(arrival: Arrival): Promise<Arrived>
  /** Ends batches, each once; which of them ended by this call. */
  settle(...settlements: readonly Settlement[]): Promise<readonly boolean[]>
  /** Everything counted so far, by handler. */
  read(): Promise<ReadonlyMap<string, HandlerTotals>>
}

/** A batch on its way to the dead letters or out of them. `life` counts how often it had come out of them before. */
export interface DeadBatch {
  readonly id: string
  readonly handler: string
  readonly count: number
  readonly bytes: number
  readonly life: number
}

/** A ledger that outlives processes: it knows dead letters, and what others have done. */
export interface SharedLedger extends Ledger {
  /** The batch lies in the dead letters. */
  bury(letter: DeadBatch): Promise<void>
  /** The batch has left the dead letters and waits again, under another id where that is new. */
  take(letter: DeadBatch, id?: string): Promise<void>
  /** Whether a batch is known to have ended, which is remembered for an hour at least. */
  hasSettled(handler: string, id: string): Promise<boolean>
}

/** Instances of one handler. `held` waits in its queue or lies in the dead letters (`deadLetters` of them). */
export interface HandlerTotals {
  readonly accepted: number
  readonly delivered: number
  readonly held: number
  readonly deadLetters: number
  readonly dropped: Readonly<Record<string, number>>
  /** At the fan-out, records that came once more and were not counted again. */
  readonly repeated?: number
  /** What waits takes so many bytes in its queue, as far as is known. */
  readonly bytes: number
  /** The same of its dead letters. */
  readonly deadBytes: number
}

/** Counts by what happened: `accepted`, `delivered`, `held`, `dropped:` and the reason … */
export type HandlerCounts = ReadonlyMap<string, number>

const DROPPED = 'dropped:'

/** What is dropped, by reason. */
export function droppedOf(counts: HandlerCounts): Record<string, number> {
  const dropped: Record<string, number> = {}
  for (const [what, count] of counts) if (what.startsWith(DROPPED)) dropped[what.slice(DROPPED.length)] = count
  return dropped
}

export function totalsOf(counts: HandlerCounts): HandlerTotals {
  const count = (what: string) => counts.get(what) ?? 0
  return {
    accepted: count('accepted'),
    delivered: count('delivered'),
    held: count('held'),
    deadLetters: count('dead'),
    dropped: droppedOf(counts),
    ...(count('repeated') > 0 ? { repeated: count('repeated') } : {}),
    bytes: count('bytes'),
    deadBytes: count('deadBytes'),
  }
}

const PLAIN_EVENTS: ReadonlySet<string> = new Set(['accepted', 'delivered', 'dead', 'taken', 'repeated'])

/** Shows what a process has counted as a metric (`report_instances_total`). */
export function ledgerSeries(meter: Meter): (handler: string, what: string, by: number) => void {
  const series = meter.counter(REPORT_INSTANCES_TOTAL)
  return (handler, what, by) => {
    const event = what === 'dead' && by < 0 ? 'taken' : what
    if (PLAIN_EVENTS.has(event)) {
      series({ handler, event }).add(Math.abs(by))
    } else if (event.startsWith(DROPPED)) series({ handler, event }).add(by)
  }
}
