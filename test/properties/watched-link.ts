// A link to Redis that knows which replies are owed: simulated time stands still meanwhile.

import { setImmediate as turn } from 'node:timers/promises'
import type { RedisLink } from '../../src/redis/connection.ts'

export class WatchedLink implements RedisLink {
  readonly #link: RedisLink
  readonly #owed = new Set<Promise<unknown>>()

  constructor(link: RedisLink) {
    this.#link = link
  }

  get timeoutMs(): number {
    return this.#link.timeoutMs
  }

  get client(): RedisLink['client'] {
    return this.#link.client
  }

  run: RedisLink['run'] = (operation, timeoutMs) => {
    const reply = this.#link.run(operation, timeoutMs)
    const over = () => this.#owed.delete(reply)
    this.#owed.add(reply)
    reply.then(over, over)
    return reply
  }

  /** Waits until no reply is owed, and what they led to is done. */
  async replies(): Promise<void> {
    do {
      await Promise.allSettled(this.#owed)
      await turn()
    } while (this.#owed.size > 0)
  }

  state(): 'up' | 'down' {
    return this.#link.state()
  }

  reason(): string | undefined {
    return this.#link.reason()
  }

  onReason(callback: () => void): () => void {
    return this.#link.onReason(callback)
  }

  heed(error: Error): void {
    this.#link.heed(error)
  }

  onUp(callback: () => void): () => void {
    return this.#link.onUp(callback)
  }

  onDown(callback: () => void): () => void {
    return this.#link.onDown(callback)
  }

  close(): void {
    this.#link.close()
  }
}
