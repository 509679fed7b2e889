// The ledger in Redis, shared by all workers: one script call for each job, however much it counts.

import { hash } from 'node:crypto'
import type { Meter } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { defineScript } from '../redis/scripts.ts'
import {
  type Arrival,
  type Arrived,
  type DeadBatch,
  FAN_OUT,
  type HandlerCounts,
  type HandlerTotals,
  ledgerSeries,
  type Settlement,
  type SharedLedger,
  totalsOf,
} from './ledger.ts'
import { nameOf } from './call-names.ts'
import { processOf } from './parcel.ts'
import { queueNames } from './queue-names.ts'

interface Reply {
  readonly results: readonly unknown[]
  readonly changed: Readonly<Record<string, number>>
}

const script = defineScript({ name: 'ledger', keys: 5, reply: (raw) => JSON.parse(String(raw)) as Reply })

const TIMEOUT_MS = 2000

/**
 * Holds for each batch that has not ended where it is, so that no event counts twice however late it comes again. What has
 * ended is remembered for one to two hours, by Redis' time.
 */
export class RedisLedger implements SharedLedger {
  readonly #link: RedisLink
  readonly #keys: ReturnType<typeof queueNames>['ledger']
  readonly #counted: ReturnType<typeof ledgerSeries> | undefined

  /** @param meter shows what is counted through this object; several over the same Redis count the same once. */
  constructor(link: RedisLink, prefix?: string, meter?: Meter) {
    this.#link = link
    this.#keys = queueNames(prefix).ledger
    this.#counted = meter && ledgerSeries(meter)
  }

  async arrive({ parcel, batches, letters, dropped }: Arrival): Promise<Arrived> {
    const { id, count, replays } = parcel
    const name = nameOf(parcel)
    const dead = letters.map((letter) => ({ ...letter, handler: FAN_OUT, dead: true }))
    const [result] = await this.#run({
      kind: 'arrive',
      handler: FAN_OUT,
      id: entryId(FAN_OUT, id),
      mark: entryId('parcel', id),
      ...(name === id ? {} : { name: entryId('call', name) }),
      count,
      ...(replays === 0 ? { process: processOf(id) } : {}),
      batches: [...batches, ...dead].map((batch) => ({
        ...batch,
        id: entryId(batch.handler, batch.id),
        life: 'dead' in batch ? replays : 0,
      })),
      dropped,
    })
    const [first, held] = result as [number, readonly number[]]
    const waits = Array.from({ length: batches.length + dead.length }, (_, i) => held[i] === 1)
    return { isFirst: first === 1, waits: waits.slice(0, batches.length), kept: waits.slice(batches.length) }
  }

  async settle(...settlements: readonly Settlement[]): Promise<readonly boolean[]> {
    const events = settlements.map(({ id, handler, delivered = 0, dropped = {}, rest = [], life }) => ({
      kind: 'settle',
      handler,
      id: entryId(handler, id),
      delivered,
      dropped,
      children: rest.map((child) => ({ ...child, id: entryId(handler, child.id) })),
      ...(life === undefined ? {} : { life }),
    }))
    return (await this.#run(...events)).map((result) => result === 1)
  }

  async bury({ id, ...letter }: DeadBatch): Promise<void> {
    await this.#run({ kind: 'bury', ...letter, id: entryId(letter.handler, id) })
  }

  async take({ id, ...letter }: DeadBatch, to = id): Promise<void> {
    const { handler } = letter
    await this.#run({ kind: 'take', ...letter, id: entryId(handler, id), to: entryId(handler, to) })
  }

  async hasSettled(handler: string, id: string): Promise<boolean> {
    const member = entryId(handler, id)
    const found = await this.#link.run(
      (client) => Promise.all(this.#keys.seen.map((key) => client.sismember(key, member))),
      TIMEOUT_MS,
    )
    return found.includes(1)
  }

  async read(): Promise<ReadonlyMap<string, HandlerTotals>> {
    return new Map([...(await this.counts())].map(([handler, counts]) => [handler, totalsOf(counts)]))
  }

  /** All that is counted, by handler. */
  async counts(): Promise<ReadonlyMap<string, HandlerCounts>> {
    const fields = await this.#link.run((client) => client.hgetall(this.#keys.totals), TIMEOUT_MS)
    const handlers = new Map<string, Map<string, number>>()
    for (const [field, value] of Object.entries(fields)) {
      const [handler, what] = partsOf(field)
      const counts = handlers.get(handler) ?? new Map<string, number>()
      handlers.set(handler, counts.set(what, Number(value)))
    }
    return handlers
  }

  /** What came to the fan-out, by the process that had accepted it. */
  async arrivals(): Promise<ReadonlyMap<string, { readonly records: number; readonly parcels: number }>> {
    const fields = await this.#link.run((client) => client.hgetall(this.#keys.arrived), TIMEOUT_MS)
    const processes = new Set(Object.keys(fields).map((field) => partsOf(field)[0]))
    const count = (process: string, what: string) => Number(fields[`${process} ${what}`] ?? 0)
    return new Map(
      [...processes].map((process) => [
        process,
        { records: count(process, 'records'), parcels: count(process, 'parcels') },
      ]),
    )
  }

  async #run(...events: readonly object[]): Promise<readonly unknown[]> {
    const { totals, held, arrived, seen } = this.#keys
    const keys = [totals, held, arrived, ...seen]
    const { results, changed } = await this.#link.run(
      (client) => script.run(client, keys, [JSON.stringify(events)]),
      TIMEOUT_MS,
    )
    for (const [field, by] of Object.entries(changed)) this.#counted?.(...partsOf(field), by)
    return results
  }
}

/** Handler names hold no spaces. */
function partsOf(field: string): [handler: string, what: string] {
  const space = field.indexOf(' ')
  return [field.slice(0, space), field.slice(space + 1)]
}

/** Fourteen characters take no more memory in Redis than eight: 84 bits tell all batches of a day apart. */
function entryId(kind: string, id: string): string {
  return hash('sha1', `${kind} ${id}`, 'base64url').slice(0, 14)
}
