// Counters of a handler in Redis: one hash per worker, which another worker takes over when its worker is gone.

import { randomUUID } from 'node:crypto'
import type { CounterChange, DurableCounters, FieldGuard } from '../adapter-kit/durable-counters.ts'
import type { Clock } from '../kernel/ports.ts'
import type { RedisLink } from './connection.ts'
import { defineScript } from './scripts.ts'

const applyOnce = defineScript({ name: 'apply-once', keys: 2, reply: Number })
const claimRegisters = defineScript({ name: 'claim-registers', keys: 3, reply: (raw) => (raw as string[]).map(String) })
const forgetFields = defineScript({ name: 'forget-fields', keys: 1, reply: Number })

const DEDUPLICATION_MS = 3_600_000
const DEFAULT_LEASE_MS = 15_000
const KEEP_ADOPTED_MS = 24 * 3_600_000
const TIMEOUT_MS = 2000

export interface RedisCountersOptions {
  readonly link: RedisLink
  readonly clock: Clock
  /** Fully qualified name of the handler. */
  readonly handler: string
  readonly prefix?: string
  /** After how long without a sign of life a worker's register goes to another worker, in milliseconds. */
  readonly leaseMs?: number
}

/**
 * Opens the counters of a handler. A batch is remembered for an hour. The register of a dead worker is answered for by
 * another one for a day, so that scrapes see its last numbers, and then forgotten.
 */
export function redisCounters(options: RedisCountersOptions): DurableCounters & { close(): void } {
  return new RedisCounters(options)
}

class RedisCounters implements DurableCounters {
  readonly #options: RedisCountersOptions
  readonly #base: string
  readonly #me = randomUUID()
  readonly #leaseMs: number
  #register = this.#me.slice(0, 8)
  #claimedAt = Number.NEGATIVE_INFINITY
  #owned: readonly string[] = []
  #cancel: (() => void) | undefined
  #closed = false

  constructor(options: RedisCountersOptions) {
    this.#options = options
    this.#leaseMs = options.leaseMs ?? DEFAULT_LEASE_MS
    this.#base = `{${options.prefix ?? 'intermix'}-counters-${options.handler}}:`
    this.#beat()
  }

  async apply(batchId: string, changes: readonly CounterChange[]): Promise<void> {
    // Without a lease nobody would answer for the register after this process.
    if (this.#options.clock.monotonic() - this.#claimedAt > this.#leaseMs) await this.#claim()
    const args = changes.flatMap(({ field, add, set }) => [
      ...(set === undefined ? [] : ['set', field, String(set)]),
      ...(add === undefined ? [] : ['add', field, String(add)]),
    ])
    const keys = [`${this.#base}batch:${batchId}`, this.#key(this.#register)]
    await this.#options.link.run((client) => applyOnce.run(client, keys, [DEDUPLICATION_MS, ...args]), TIMEOUT_MS)
  }

  async registers(): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>> {
    const owned = await this.#claim()
    const read = async (register: string) => {
      const fields = await this.#options.link.run((client) => client.hgetall(this.#key(register)), TIMEOUT_MS)
      const numbers = Object.entries(fields).map(([field, value]) => [field, Number(value)] as const)
      return [register, new Map(numbers.filter(([, value]) => Number.isFinite(value)))] as const
    }
    return new Map(await Promise.all(owned.map(read)))
  }

  async forget(register: string, guard: FieldGuard, fields: readonly string[]): Promise<void> {
    const args = [guard.field, String(guard.value), ...fields]
    await this.#options.link.run((client) => forgetFields.run(client, [this.#key(register)], args), TIMEOUT_MS)
  }

  /** Ends the heartbeat and gives the registers away: the next process that looks takes them. Safe twice. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cancel?.()
    if (this.#owned.length === 0) return
    const free = this.#owned.flatMap((register) => [0, register])
    // Where this fails, the lease ends by itself.
    this.#options.link.run((client) => client.zadd(`${this.#base}leases`, 'XX', ...free)).catch(() => undefined)
  }

  async #claim(): Promise<string[]> {
    const keys = [`${this.#base}leases`, `${this.#base}owners`, `${this.#base}adopted`]
    const claim = () => {
      const args = [this.#me, this.#register, this.#leaseMs, KEEP_ADOPTED_MS, this.#key('')]
      return this.#options.link.run((client) => claimRegisters.run(client, keys, args), TIMEOUT_MS)
    }
    const startedAt = this.#options.clock.monotonic()
    let owned = await claim()
    if (!owned.includes(this.#register)) {
      // This process was taken for dead and its register given away: it goes on with a new one.
      this.#register = randomUUID().slice(0, 8)
      owned = await claim()
    }
    this.#claimedAt = startedAt
    this.#owned = owned
    return owned
  }

  #beat(): void {
    if (this.#closed) return
    const again = () => {
      if (!this.#closed) this.#cancel = this.#options.clock.after(this.#leaseMs / 3, () => this.#beat())
    }
    // A missed beat is made up for by the next one, or by `apply`.
    this.#claim().then(again, again)
  }

  #key(register: string): string {
    return `${this.#base}register:${register}`
  }
}
