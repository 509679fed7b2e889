// A BullMQ queue on a bounded link: made when Redis is there, made anew when its making failed.

import type { Queue } from 'bullmq'
import type { RedisLink } from '../redis/connection.ts'

/** BullMQ keeps events for listeners that we do not have: 10 000 a queue, some 1.5 MB, unless told otherwise. */
const MAX_EVENTS = 100

/** Runs operations on a queue; each fails at once while Redis is away and never takes longer than its timeout. */
export class LinkQueue {
  readonly #link: RedisLink
  readonly #name: string
  readonly #keyPrefix: string
  #queue: Promise<Queue> | undefined

  constructor(link: RedisLink, name: string, keyPrefix: string) {
    this.#link = link
    this.#name = name
    this.#keyPrefix = keyPrefix
  }

  /** @throws IntermixError REDIS_UNAVAILABLE, and what BullMQ throws. */
  run<T>(operation: (queue: Queue) => Promise<T>, timeoutMs?: number): Promise<T> {
    return this.#link.run(async () => operation(await this.#ready()), timeoutMs)
  }

  /** Detaches from the link, which stays open. */
  async close(): Promise<void> {
    const queue = await this.#queue?.catch(() => undefined)
    await queue?.close().catch(() => undefined)
  }

  #ready(): Promise<Queue> {
    this.#queue ??= this.#make()
    return this.#queue
  }

  async #make(): Promise<Queue> {
    // Late: it is large, and a process without a queue in Redis has no use for it.
    const { Queue } = await import('bullmq')
    const queue = new Queue(this.#name, {
      connection: this.#link.client,
      prefix: this.#keyPrefix,
      skipVersionCheck: true,
      streams: { events: { maxLen: MAX_EVENTS } },
    })
    // The link logs what happens to its connection; without a listener each error would end the process.
    queue.on('error', () => undefined)
    try {
      await queue.waitUntilReady()
      return queue
    } catch (error) {
      this.#queue = undefined
      throw error
    }
  }
}
