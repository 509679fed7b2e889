// What is sent in one turn of the event loop leaves in one write for each connection; Redis then reads and answers it together.

import { Redis } from 'ioredis'
import type { RedisClient } from './create-client.ts'

export class WriteBatch {
  readonly #client: RedisClient
  /** Of those who wait for this turn of the event loop to end. */
  readonly #unsent: (() => void)[] = []

  constructor(client: RedisClient) {
    this.#client = client
  }

  /**
   * Holds back what is sent from now on until this turn is over. `sent` is called when it has left: a turn that takes long
   * takes nothing of the time that Redis has for its answer.
   */
  add(sent: () => void): void {
    this.#unsent.push(sent)
    if (this.#unsent.length > 1) return
    // Those of now: a connection that is made meanwhile has sockets of its own.
    const streams = this.#connections().map(({ stream }) => stream)
    for (const stream of streams) stream?.cork()
    setImmediate(() => {
      for (const stream of streams) stream?.uncork()
      for (const waiting of this.#unsent.splice(0)) waiting()
    })
  }

  /** On a cluster only masters are asked. */
  #connections(): readonly { readonly stream: Redis['stream'] | undefined }[] {
    return this.#client instanceof Redis ? [this.#client] : this.#client.nodes('master')
  }
}
