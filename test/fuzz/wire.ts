// The far end of a connection without a network: it hands octets to a native connection and keeps what comes back.

import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'

type Written = () => void

/** What a connection uses of a socket. What is written is taken when `take` is called. */
class Wire extends EventEmitter {
  readonly remoteAddress = '192.0.2.1'
  readonly remotePort = 4711
  destroyed = false
  writableEnded = false
  readonly writableLength = 0
  /** How often it was written. */
  writes = 0
  #written: Buffer[] = []
  #callbacks: Written[] = []

  write(bytes: Buffer, written?: Written): boolean {
    this.writes++
    // The writer uses its buffers again once they are taken.
    this.#written.push(Buffer.from(bytes))
    if (written !== undefined) this.#callbacks.push(written)
    return true
  }

  /** What was written since, now sent. */
  take(): Buffer {
    const bytes = Buffer.concat(this.#written)
    this.#written = []
    for (const written of this.#callbacks.splice(0)) written()
    return bytes
  }

  end(ended?: Written): void {
    if (this.writableEnded) return
    this.writableEnded = true
    if (ended !== undefined) this.#callbacks.push(ended)
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }

  pause(): void {}
  resume(): void {}
  cork(): void {}
  uncork(): void {}
  unref(): void {}
}

/** The two ends: `socket` for the connection, `wire` for who tests it. */
export function createWire(): { readonly socket: Socket; readonly wire: Wire } {
  const wire = new Wire()
  return { socket: wire as unknown as Socket, wire }
}
