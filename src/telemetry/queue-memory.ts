// The memory of the Redis server that owns a queue: looked at by all who write there, so that it never fills up.

import type { RedisLink } from '../redis/connection.ts'
import { defineScript } from '../redis/scripts.ts'
import { queueNames } from './queue-names.ts'

/** What a look found. Bytes. */
export interface MemoryLook {
  readonly used: number
  /** 0 where the server has no limit. */
  readonly limit: number
  /** What the server does when it is full: `noeviction`, or it throws away what must not be lost. */
  readonly policy: string
  /** Jobs that wait in the queue. */
  readonly waiting: number
}

const LOOK_TIMEOUT_MS = 500

const queueLook = defineScript({
  name: 'queue-look',
  keys: 1,
  reply: (raw): MemoryLook => {
    const [used, limit, policy, waiting] = raw as [number, number, string, number]
    return { used, limit, policy, waiting }
  },
})

export interface QueueMemoryOptions {
  readonly link: RedisLink
  /** Name of the queue: on a cluster, the server that owns its slot is asked. */
  readonly queue: string | (() => string)
}

/** Looks at a server's memory; all who ask meanwhile share one look. */
export class QueueMemory {
  readonly #options: QueueMemoryOptions
  readonly #listeners = new Set<(look: MemoryLook) => void>()
  #underWay: Promise<MemoryLook> | undefined
  #last: MemoryLook | undefined

  constructor(options: QueueMemoryOptions) {
    this.#options = options
  }

  /** What the latest look found; `undefined` before the first. */
  get last(): MemoryLook | undefined {
    return this.#last
  }

  /** Calls back after each look; the returned function ends that. */
  onLook(listener: (look: MemoryLook) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * What is written on the same link before a look is part of it.
   * @throws IntermixError REDIS_UNAVAILABLE, and what Redis refuses it with.
   */
  look(): Promise<MemoryLook> {
    this.#underWay ??= this.#look().finally(() => {
      this.#underWay = undefined
    })
    return this.#underWay
  }

  async #look(): Promise<MemoryLook> {
    const { link, queue } = this.#options
    const name = typeof queue === 'string' ? queue : queue()
    const key = `${queueNames().keyPrefix(name)}:${name}:wait`
    this.#last = await link.run((client) => queueLook.run(client, [key], []), LOOK_TIMEOUT_MS)
    for (const listener of this.#listeners) listener(this.#last)
    return this.#last
  }
}
