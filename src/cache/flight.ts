// One fetch that is under way, and those who wait for it: until it ends, until their time is up, or, once a stale verdict
// has turned up that they may have, until their patience with the backend ends.

import { onExpiry } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import type { Epoch } from '../kernel/revocation.ts'
import type { VerdictEntry } from './verdict-entry.ts'
import type { VerdictRequest } from './verdict-request.ts'
import type { VerdictRules } from './verdict-rules.ts'

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

/** With a stale verdict in hand, a caller waits for the backend at least this long before it takes it. */
const STALE_PATIENCE_MS = 30

export class Flight {
  readonly epoch: Epoch
  readonly #rules: VerdictRules
  readonly #clock: Clock
  readonly #settled = Promise.withResolvers<FlightResult>()
  readonly #listeners = new Set<(stale: VerdictEntry) => void>()
  #stale: VerdictEntry | undefined

  /** Begins now: to be made before anything is asked. */
  constructor(rules: VerdictRules, clock: Clock) {
    this.epoch = rules.epoch
    this.#rules = rules
    this.#clock = clock
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

  /**
   * What the fetch brought, or an error where the caller's time or patience ended before it. Never rejects.
   * @param held the stale verdict that the caller has already
   */
  wait(request: VerdictRequest, held: VerdictEntry | undefined): Promise<FlightResult> {
    const clock = this.#clock
    const { source, deadline } = request
    return new Promise((resolve) => {
      let stale: VerdictEntry | undefined
      const expired = () => {
        this.#listeners.delete(found)
        const error = new IntermixError('DEADLINE_EXCEEDED', `${source.handler.name}: no verdict in time`)
        resolve({ error, stale, impatient: true })
      }
      const until = (patienceMs: number) => onExpiry(clock, Math.min(deadline - clock.monotonic(), patienceMs), expired)
      const found = (entry: VerdictEntry) => {
        if (held !== undefined || !this.#rules.acceptsStale(entry, request)) return
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
