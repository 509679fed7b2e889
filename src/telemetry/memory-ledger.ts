// The ledger in memory, for a process without Redis: it ends with the process, and each event is told to it once.

import type { Meter } from '../kernel/ports.ts'
import { mayComeAgain, nameOf } from './call-names.ts'
import {
  type Arrival,
  type Arrived,
  FAN_OUT,
  type HandlerTotals,
  type Ledger,
  ledgerSeries,
  type Settlement,
  totalsOf,
} from './ledger.ts'

/** Twice as many at most, of some thousand records each. */
const MAX_NAMES = 10_000

export class MemoryLedger implements Ledger {
  readonly #handlers = new Map<string, Map<string, number>>()
  readonly #counted: ReturnType<typeof ledgerSeries>
  /** Of calls that may come again, the last ones. */
  #names = new Set<string>()
  #formerNames = new Set<string>()

  constructor(meter: Meter) {
    this.#counted = ledgerSeries(meter)
  }

  async arrive({ parcel, batches, letters, dropped }: Arrival): Promise<Arrived> {
    if (mayComeAgain(parcel.id) && this.#isKnown(nameOf(parcel))) {
      this.#add(FAN_OUT, 'repeated', parcel.count)
      return { isFirst: false, waits: batches.map(() => false), kept: letters.map(() => false) }
    }
    let read = parcel.count
    this.#add(FAN_OUT, 'accepted', parcel.count)
    for (const { handler, count } of batches) {
      this.#add(handler, 'accepted', count)
      this.#add(handler, 'held', count)
    }
    for (const { handler, reason, count } of dropped) {
      if (handler === FAN_OUT) read -= count
      else this.#add(handler, 'accepted', count)
      this.#add(handler, `dropped:${reason}`, count)
    }
    this.#add(FAN_OUT, 'delivered', read)
    return { isFirst: true, waits: batches.map(() => true), kept: letters.map(() => false) }
  }

  async settle(...settlements: readonly Settlement[]): Promise<readonly boolean[]> {
    for (const { handler, delivered = 0, dropped = {} } of settlements) {
      this.#add(handler, 'delivered', delivered)
      this.#add(handler, 'held', -delivered)
      for (const [reason, count] of Object.entries(dropped)) {
        this.#add(handler, `dropped:${reason}`, count)
        this.#add(handler, 'held', -count)
      }
    }
    return settlements.map(() => true)
  }

  async read(): Promise<ReadonlyMap<string, HandlerTotals>> {
    return new Map([...this.#handlers].map(([handler, counts]) => [handler, totalsOf(counts)]))
  }

  #isKnown(name: string): boolean {
    const isKnown = this.#names.has(name) || this.#formerNames.has(name)
    if (!isKnown && this.#names.add(name).size >= MAX_NAMES) {
      this.#formerNames = this.#names
      this.#names = new Set()
    }
    return isKnown
  }

  #add(handler: string, what: string, by: number): void {
    if (by === 0) return
    let counts = this.#handlers.get(handler)
    if (counts === undefined) this.#handlers.set(handler, (counts = new Map()))
    counts.set(what, (counts.get(what) ?? 0) + by)
    this.#counted(handler, what, by)
  }
}
