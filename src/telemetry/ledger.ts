// The ledger of handlers: instances accepted = delivered + held + dropped, each event counted once.

import { REPORT_INSTANCES_TOTAL } from '../kernel/metrics/reports.ts'
import type { Meter } from '../kernel/ports.ts'

/** The name under which the ledger counts records that fan-out reads. */
export const FAN_OUT = 'fan-out'

/** Events of the ledger. `dead` and `taken` move instances into and out of the dead letters, where they are held. */
export type LedgerEvent = 'accepted' | 'delivered' | 'dead' | 'taken' | `dropped:${string}`

/** Where events are counted. The same event id counts once, also after a retry. */
export interface Ledger {
  count(eventId: string, handler: string, event: LedgerEvent, instances: number): Promise<void>
  /** Everything counted so far, by handler. */
  read(): Promise<ReadonlyMap<string, HandlerTotals>>
}

/** Instances of one handler. `held` waits in its queue or lies in the dead letters (`deadLetters` of them). */
export interface HandlerTotals {
  readonly accepted: number
  readonly delivered: number
  readonly held: number
  readonly deadLetters: number
  readonly dropped: Readonly<Record<string, number>>
}

/** Makes totals of the counts of events. */
export function totalsOf(events: ReadonlyMap<string, number>): HandlerTotals {
  const accepted = events.get('accepted') ?? 0
  const delivered = events.get('delivered') ?? 0
  const dropped: Record<string, number> = {}
  let droppedSum = 0
  for (const [event, count] of events) {
    if (!event.startsWith('dropped:')) continue
    dropped[event.slice('dropped:'.length)] = count
    droppedSum += count
  }
  return {
    accepted,
    delivered,
    held: accepted - delivered - droppedSum,
    deadLetters: (events.get('dead') ?? 0) - (events.get('taken') ?? 0),
    dropped,
  }
}

/** A ledger in memory, for a process without Redis. Each event is told to it once. */
export class MemoryLedger implements Ledger {
  readonly #events = new Map<string, Map<string, number>>()

  async count(_eventId: string, handler: string, event: LedgerEvent, instances: number): Promise<void> {
    let events = this.#events.get(handler)
    if (events === undefined) this.#events.set(handler, (events = new Map()))
    events.set(event, (events.get(event) ?? 0) + instances)
  }

  async read(): Promise<ReadonlyMap<string, HandlerTotals>> {
    return new Map([...this.#events].map(([handler, events]) => [handler, totalsOf(events)]))
  }
}

/** Shows the events that this process counts as a metric. */
export function meteredLedger(ledger: Ledger, meter: Meter): Ledger {
  const series = meter.counter(REPORT_INSTANCES_TOTAL)
  return {
    async count(eventId, handler, event, instances) {
      await ledger.count(eventId, handler, event, instances)
      series({ handler, event }).add(instances)
    },
    read: () => ledger.read(),
  }
}
