// Reports say when requests end: what these held of quotas is given back then, beside the way of the reports themselves.

import { setImmediate as yieldToOthers } from 'node:timers/promises'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { QUOTA_ENDED_TOTAL } from '../kernel/metrics/quotas.ts'
import type { Clock, Counter, Meter } from '../kernel/ports.ts'
import { recordFormat, type ReportBatch, type ReportFormats, unpacked } from '../kernel/report.ts'
import type { ReportService } from '../kernel/services.ts'
import { AmbiguousRequest } from '../wire/ambiguity.ts'
import { type Ended, endedCharges, hasEnded, HeldQuotas } from './ended-charges.ts'
import type { PolicyRequests } from './policy-request.ts'

export interface EndedRequestsOptions {
  readonly clock: Clock
  readonly meter: Meter
  readonly formats: ReportFormats
  readonly requests: Pick<PolicyRequests, 'handle' | 'state'>
  /** A record as checks saw its request. @throws AmbiguousRequest where no check can have passed. */
  readonly readings: (bag: AttributeBag) => readonly [AttributeBag, AttributeBag?]
}

/** Payloads that wait to be looked at, in bytes; what comes beyond that leaves its places to expire. */
const MOST_WAITING = 8 * 1024 * 1024
const RECORDS_BETWEEN_YIELDS = 100
/** Places that a handler hears of in one call. */
const MOST_AT_ONCE = 1_000
/** For the attributes of a record to be generated, and for a handler to give back. */
const TIMEOUT_MS = 1_000

export class EndedRequests {
  readonly #options: EndedRequestsOptions
  readonly #counted: (
    outcome: 'given_back' | 'not_there' | 'not_evaluated' | 'failed' | 'dropped' | 'unreadable',
  ) => Counter
  readonly #held = new HeldQuotas()
  #waiting: ReportBatch[] = []
  #bytes = 0
  #work: Promise<void> | undefined

  constructor(options: EndedRequestsOptions) {
    this.#options = options
    const ended = options.meter.counter(QUOTA_ENDED_TOTAL)
    this.#counted = (outcome) => ended({ outcome })
  }

  /** The same service; what it takes is looked at here, too. */
  listeningTo(reports: ReportService): ReportService {
    return {
      accept: (batch, ack) => {
        const outcome = reports.accept(batch, ack)
        // What is refused at once comes again, or is lost.
        if (outcome === undefined || outcome instanceof Promise) this.#hear(batch)
        return outcome
      },
    }
  }

  /** Settles when nothing waits here any more. */
  async idle(): Promise<void> {
    while (this.#work !== undefined) await this.#work
  }

  #hear(batch: ReportBatch): void {
    if (this.#held.of(this.#options.requests.state()).size === 0) return
    const { byteLength } = batch.payload
    if (this.#bytes + byteLength > MOST_WAITING) return this.#counted('dropped').add(batch.count)
    this.#bytes += byteLength
    this.#waiting.push(batch)
    this.#work ??= this.#lookAtAll()
  }

  async #lookAtAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      // Those who report hear first that it was taken; and what comes in one turn is given back together.
      await yieldToOthers()
      const batches = this.#waiting
      this.#waiting = []
      const ended = new EndedTogether(this.#giveBack)
      for (const batch of batches) {
        await this.#lookAt(batch, ended).catch(() => this.#counted('unreadable').add(batch.count))
        this.#bytes -= batch.payload.byteLength
      }
      await ended.tell()
    }
    this.#work = undefined
  }

  async #lookAt(batch: ReportBatch, ended: EndedTogether): Promise<void> {
    const { formats, requests } = this.#options
    let sinceYield = 0
    for (const { format, payload } of unpacked(batch, formats).batches) {
      const records = recordFormat(format, formats)?.decode(payload, requests.state().snapshot.vocabulary) ?? []
      for (const record of records) {
        if (hasEnded(record)) for (const each of await this.#endedBy(record)) await ended.add(each)
        if (++sinceYield % RECORDS_BETWEEN_YIELDS === 0) await yieldToOthers()
      }
    }
  }

  async #endedBy(record: AttributeBag): Promise<Ended[]> {
    const failed = () => this.#counted('not_evaluated').add()
    const all: Ended[] = []
    for (const reading of this.#readingsOf(record)) {
      const found = this.#options.requests.handle(reading, { timeoutMs: TIMEOUT_MS, references: false }, (request) =>
        endedCharges(request, this.#held.of(request.state), failed),
      )
      all.push(...(found instanceof Promise ? await found : found))
    }
    return all
  }

  #readingsOf(record: AttributeBag): AttributeBag[] {
    try {
      return this.#options.readings(record).filter((reading) => reading !== undefined)
    } catch (error) {
      // It was refused.
      if (error instanceof AmbiguousRequest) return []
      throw error
    }
  }

  readonly #giveBack = async (ended: readonly Ended[]): Promise<void> => {
    const { clock } = this.#options
    const charges = ended.map(({ charge }) => charge)
    try {
      const count = (await ended[0]?.running.quotaEnded(charges, clock.monotonic() + TIMEOUT_MS)) ?? 0
      this.#counted('given_back').add(count)
      this.#counted('not_there').add(Math.max(0, charges.length - count))
    } catch {
      this.#counted('failed').add(charges.length)
    }
  }
}

/** Gathers what has ended for calls of many. */
class EndedTogether {
  readonly #give: (ended: readonly Ended[]) => Promise<void>
  #gathered: Ended[] = []

  constructor(give: (ended: readonly Ended[]) => Promise<void>) {
    this.#give = give
  }

  async add(ended: Ended): Promise<void> {
    this.#gathered.push(ended)
    if (this.#gathered.length >= MOST_AT_ONCE) await this.tell()
  }

  /** Tells handlers of what was gathered; never rejects. */
  async tell(): Promise<void> {
    const gathered = this.#gathered
    this.#gathered = []
    const groups = Map.groupBy(gathered, ({ running }) => running)
    for (const group of groups.values()) {
      const byTemplate = Map.groupBy(group, ({ charge }) => charge.instance.template)
      await Promise.all(Array.from(byTemplate.values(), (each) => this.#give(each)))
    }
  }
}
