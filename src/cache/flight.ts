// One fetch that is under way, and those who wait for it: until it ends, until their time is up, or, once a stale verdict
// has turned up that they may have, until their patience with the backend ends.

import { onExpiry } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import type { Epoch } from './revocations.ts'
import type { VerdictEntry } from './verdict-entry.ts'

export type FlightResult =
  | {
      readonly entry: VerdictEntry
      readonly tier: 'mesh' | 'backend'
      readonly stale?: VerdictEntry | undefined
      readonly error?: undefined
    }
  | {
      readonly entry?: undefined
      readonly error: IntermixError
      readonly stale?: VerdictEntry | undefined
      /** The fetch goes on: the caller was not waiting any longer than a stale verdict makes it. */
      readonly impatient?: true
    }

export interface FlightWait {
  readonly clock: Clock
  readonly handler: string
  /** Monotonic milliseconds at which the caller gives up. */
  readonly deadline: number
  /** The stale verdict that the caller has already. */
  readonly held: VerdictEntry | undefined
  /** Whether the caller may have a stale verdict that another node left. */
  readonly mayHave: (stale: VerdictEntry) => boolean
}

/** With a stale verdict in hand, a caller waits for the backend at least this long before it takes it. */
const STALE_PATIENCE_MS = 30

export class Flight {
  readonly epoch: Epoch
  readonly #settled = Promise.withResolvers<FlightResult>()
  readonly #listeners = new Set<(stale: VerdictEntry) => void>()
  #stale: VerdictEntry | undefined

  /** @param epoch taken before anything was asked */
  constructor(epoch: Epoch) {
    this.epoch = epoch
  }

  /** Never rejects. */
  get result(): Promise<FlightResult> {
    return this.#settled.promise
  }

  /** The mesh has a stale verdict, which is good enough should the backend give none. */
  found(stale: VerdictEntry): void {
    if (this.#stale !== undefined) return
    this.#stale = stale
    for (const listener of this.#listeners) listener(stale)
    this.#listeners.clear()
  }

  end(result: FlightResult): void {
    this.#listeners.clear()
    this.#settled.resolve(result)
  }

  /** What the fetch brought, or an error where the caller's time or patience ended before it. Never rejects. */
  wait({ clock, handler, deadline, held, mayHave }: FlightWait): Promise<FlightResult> {
    return new Promise((resolve) => {
      let stale: VerdictEntry | undefined
      const expired = () => {
        this.#listeners.delete(found)
        const error = new IntermixError('DEADLINE_EXCEEDED', `${handler}: no verdict in time`)
        resolve({ error, stale, impatient: true })
      }
      const until = (patienceMs: number) => onExpiry(clock, Math.min(deadline - clock.monotonic(), patienceMs), expired)
      const found = (entry: VerdictEntry) => {
        if (held !== undefined || !mayHave(entry)) return
        stale = entry
        cancel()
        cancel = until(patienceWith(entry))
      }
      let cancel = until(held === undefined ? Number.POSITIVE_INFINITY : patienceWith(held))
      if (this.#stale === undefined) this.#listeners.add(found)
      else found(this.#stale)
      void this.result.then((result) => {
        cancel()
        resolve(result)
      })
    })
  }
}

function patienceWith(stale: VerdictEntry): number {
  return Math.max(STALE_PATIENCE_MS, 3 * stale.fetchMs)
}
