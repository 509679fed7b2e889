// The connections of one part of a load, and what waits for them.

import type { CallTable } from './call-table.ts'
import type { Connection } from './connection.ts'

/** A server that is not there is not asked for a connection more often than this. */
const REOPEN_MS = 5

/** Calls are sent in their order, over the connections in turn; closed ones are replaced. */
export class PartSender {
  readonly #open: () => Connection
  readonly #calls: CallTable
  readonly #connections: Connection[]
  readonly #dirty = new Set<Connection>()
  #queue: number[] = []
  #head = 0
  #turn = 0
  #full = false
  #reopenAt = 0
  /** A connection is to be opened again when it is time. */
  #reopens = false

  constructor(options: { open: () => Connection; connections: number; calls: CallTable }) {
    this.#open = options.open
    this.#calls = options.calls
    this.#connections = Array.from({ length: options.connections }, options.open)
  }

  /** Sends the call, or lets it wait for room. */
  add(call: number): void {
    this.#queue.push(call)
    if (!this.#full) this.#send(undefined)
  }

  /** Whether there was no room when it was last looked for, and there has been no word of any since. */
  get full(): boolean {
    return this.#full
  }

  /** Sends what waits, where this connection has room again. */
  resume(connection: Connection): void {
    this.#full = false
    if (this.#head < this.#queue.length) this.#send(connection)
  }

  /** Sends what waits, where a connection may be opened again. */
  retry(): void {
    if (!this.#reopens || performance.now() < this.#reopenAt) return
    this.#reopens = false
    this.#full = false
    this.#send(undefined)
  }

  #send(preferred: Connection | undefined): void {
    for (; this.#head < this.#queue.length; this.#head++) {
      const call = this.#queue[this.#head] as number
      if (!this.#calls.waits(call)) continue
      const connection = preferred?.free() === true ? preferred : this.#free()
      if (connection === undefined) {
        this.#full = true
        break
      }
      connection.send(call, this.#calls.key(call))
      this.#calls.sentBy(call, connection)
      this.#dirty.add(connection)
    }
    if (this.#head > 1_024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
  }

  #free(): Connection | undefined {
    const connections = this.#connections
    for (let tried = 0; tried < connections.length; tried++) {
      this.#turn = (this.#turn + 1) % connections.length
      let connection = connections[this.#turn] as Connection
      if (connection.closed()) {
        const now = performance.now()
        this.#reopens = now < this.#reopenAt
        if (this.#reopens) continue
        this.#reopenAt = now + REOPEN_MS
        connection = this.#open()
        connections[this.#turn] = connection
      }
      if (connection.free()) return connection
    }
    return undefined
  }

  flush(): void {
    for (const connection of this.#dirty) connection.flush()
    this.#dirty.clear()
  }

  close(): void {
    for (const connection of this.#connections) connection.close()
  }
}
