// The ledger of handlers in Redis, shared by all workers.

import type { RedisLink } from '../redis/connection.ts'
import { defineScript } from '../redis/scripts.ts'
import { type HandlerTotals, type Ledger, type LedgerEvent, totalsOf } from './ledger.ts'
import { queueNames } from './queue-names.ts'

const applyOnce = defineScript({ name: 'apply-once', keys: 2, reply: Number })

const REMEMBER_MS = 24 * 3_600_000
const TIMEOUT_MS = 2000

/** Counts in one hash: field `handler event` → instances. An event is remembered for a day. */
export class RedisLedger implements Ledger {
  readonly #link: RedisLink
  readonly #prefix: string | undefined

  constructor(link: RedisLink, prefix?: string) {
    this.#link = link
    this.#prefix = prefix
  }

  async count(eventId: string, handler: string, event: LedgerEvent, instances: number): Promise<void> {
    const names = queueNames(this.#prefix)
    const keys = [names.ledgerEvent(eventId), names.ledger]
    const args = [REMEMBER_MS, 'add', `${handler} ${event}`, instances]
    await this.#link.run((client) => applyOnce.run(client, keys, args), TIMEOUT_MS)
  }

  async read(): Promise<ReadonlyMap<string, HandlerTotals>> {
    const fields = await this.#link.run((client) => client.hgetall(queueNames(this.#prefix).ledger), TIMEOUT_MS)
    const handlers = new Map<string, Map<string, number>>()
    for (const [field, value] of Object.entries(fields)) {
      const space = field.indexOf(' ')
      const handler = field.slice(0, space)
      const events = handlers.get(handler) ?? new Map<string, number>()
      handlers.set(handler, events.set(field.slice(space + 1), Number(value)))
    }
    return new Map([...handlers].map(([handler, events]) => [handler, totalsOf(events)]))
  }
}
