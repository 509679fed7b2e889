// The queues of reports that a node adds to: one for each digest of report rules under which it accepted some,
// and of each a shard or more.

import type { Queue } from 'bullmq'
import type { Clock } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { LinkQueue } from './link-queue.ts'
import { queueNames } from './queue-names.ts'

export interface RuleQueuesOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly prefix?: string
  /** Makes a queue known to others before the first job is added to it. */
  readonly note?: (rules: string) => Promise<void>
}

/** A queue that nothing was added to for this long is closed; it opens again when need be. */
const IDLE_MS = 60_000
const WARM_UP_TIMEOUT_MS = 500

interface OpenQueue {
  readonly rules: string | undefined
  readonly queue: LinkQueue
  /** Settles when others know of it, and its scripts are loaded: that can take longer than an add may. */
  readonly ready: Promise<void>
  usedAt: number
}

export class RuleQueues {
  readonly #options: RuleQueuesOptions
  /** By name. */
  readonly #open = new Map<string, OpenQueue>()

  #latest: string | undefined

  constructor(options: RuleQueuesOptions) {
    this.#options = options
  }

  /** Digests of the rules of queues to which something was added lately. */
  get open(): readonly string[] {
    this.#closeIdle()
    const rules = new Set([...this.#open.values()].map((open) => open.rules))
    return [...rules].filter((each) => each !== undefined)
  }

  /** Digest of the rules under which something was added last. */
  get latest(): string | undefined {
    return this.#latest
  }

  /** Runs an operation on a shard of the queue of what was accepted under some rules. Rejects as `LinkQueue.run` does. */
  async run<T>(rules: string | undefined, shard: number, operation: (queue: Queue) => Promise<T>): Promise<T> {
    const open = this.#of(rules, shard)
    open.usedAt = this.#options.clock.monotonic()
    if (rules !== undefined) this.#latest = rules
    await open.ready
    return await open.queue.run(operation)
  }

  async close(): Promise<void> {
    const all = [...this.#open.values()]
    this.#open.clear()
    await Promise.all(all.map(({ queue }) => queue.close()))
  }

  #of(rules: string | undefined, shard: number): OpenQueue {
    const { link, prefix, note, clock } = this.#options
    const names = queueNames(prefix)
    const name = names.reports(rules, shard)
    const known = this.#open.get(name)
    if (known !== undefined) return known
    const queue = new LinkQueue(link, name, names.keyPrefix(name))
    const ready = async () => {
      if (rules !== undefined) await note?.(rules)
      await queue.run(() => Promise.resolve(), Math.max(WARM_UP_TIMEOUT_MS, 2 * link.timeoutMs))
    }
    const open = { rules, queue, ready: ready(), usedAt: clock.monotonic() }
    this.#open.set(name, open)
    open.ready.catch(() => this.#close(name, open))
    return open
  }

  #closeIdle(): void {
    const since = this.#options.clock.monotonic() - IDLE_MS
    for (const [name, open] of this.#open) if (open.usedAt < since) this.#close(name, open)
  }

  #close(name: string, open: OpenQueue): void {
    if (this.#open.get(name) === open) this.#open.delete(name)
    void open.queue.close()
  }
}
