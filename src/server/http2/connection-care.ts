// Keeps watch over the times of a connection: who does not begin, is silent, does not read, has nothing to do or is old.

import type { Random } from '../../kernel/ports.ts'
import type { CloseReason } from '../../wire/http2/connection-error.ts'

/** Bounds in milliseconds. */
export interface ConnectionTimes {
  /** From the connection to the first SETTINGS, and for a header block. */
  readonly handshakeMs: number
  /** Silence after which the peer is asked whether it is there. */
  readonly keepaliveMs: number
  /** Silence after that, which says that it is not. */
  readonly keepaliveTimeoutMs: number
  /** How long a peer may take nothing of what there is for it. */
  readonly stalledMs: number
  /** How long a connection without calls is kept. */
  readonly idleMs: number
  /** Age at which peers are asked to connect anew; `Infinity` for never. Connections differ by up to a tenth. */
  readonly maxAgeMs: number
  /** How long calls may go on after that. */
  readonly graceMs: number
}

export const TIMES: ConnectionTimes = {
  handshakeMs: 10_000,
  keepaliveMs: 60_000,
  keepaliveTimeoutMs: 20_000,
  stalledMs: 20_000,
  idleMs: 3_600_000,
  maxAgeMs: Number.POSITIVE_INFINITY,
  graceMs: 60_000,
}

/** How long a peer has to say that it knows that we go. */
const GOODBYE_MS = 5_000
const JITTER = 0.1

/** What can be seen of a connection. */
export interface ConnectionView {
  readonly now: number
  readonly phase: 'opening' | 'open' | 'retiring'
  /** Within a header block. */
  readonly within: boolean
  /** Bytes that the peer has not taken. */
  readonly unsent: number
  /** Changes when it takes some. */
  readonly progress: number
  readonly streams: number
}

/** Ask the peer whether it is there, or to go; take no more calls; or cut it off for a reason. */
export type Todo = 'ping' | 'finish' | CloseReason

export class ConnectionCare {
  readonly #times: ConnectionTimes
  readonly #maxAgeMs: number
  /** When things began, by the first look that saw them; there is a look every second. */
  readonly #since = new Map<string, number>()
  #bornAt: number | undefined
  #heardAt = 0
  #pinged = false
  #progress = 0
  #reason: CloseReason | undefined

  constructor({ times, random }: { readonly times: ConnectionTimes; readonly random: Random }) {
    this.#times = times
    this.#maxAgeMs = times.maxAgeMs * (1 - JITTER * random())
  }

  /** The peer has sent something. */
  heard(now: number): void {
    this.#heardAt = now
    this.#pinged = false
  }

  /** The connection is to close in good order; the first reason counts. */
  retired(reason: CloseReason): void {
    this.#reason ??= reason
  }

  /** Why it closes, when it does in good order. */
  get reason(): CloseReason {
    return this.#reason ?? 'peer'
  }

  /** What is to be done now. */
  check(view: ConnectionView): Todo | undefined {
    const times = this.#times
    const { now, phase } = view
    if (this.#bornAt === undefined) {
      this.#bornAt = now
      this.#heardAt = Math.max(this.#heardAt, now)
    }
    const lasts = (what: string, holds: boolean): number => this.#lasts(what, holds, now)
    // Who takes what had to wait for it is there. What had not says nothing: the kernel has taken it.
    if (this.#progress !== view.progress && this.#since.delete('stalled')) this.heard(now)
    this.#progress = view.progress
    if (lasts('stalled', view.unsent > 0) > times.stalledMs) return 'stalled'
    if (lasts('opening', phase === 'opening' || view.within) > times.handshakeMs) return 'handshake'
    const silent = now - this.#heardAt
    if (this.#pinged && silent > times.keepaliveMs + times.keepaliveTimeoutMs) return 'dead'
    const retiring = lasts('retiring', phase === 'retiring')
    if (retiring > times.graceMs && this.reason !== 'peer') return this.reason
    if (retiring > GOODBYE_MS) return 'finish'
    if (phase === 'open') {
      if (now - this.#bornAt > this.#maxAgeMs) return 'age'
      if (lasts('idle', view.streams === 0) > times.idleMs) return 'idle'
    }
    if (this.#pinged || silent <= times.keepaliveMs) return undefined
    this.#pinged = true
    return 'ping'
  }

  /** For how long something has held. */
  #lasts(what: string, holds: boolean, now: number): number {
    if (!holds) {
      this.#since.delete(what)
      return -1
    }
    const since = this.#since.get(what)
    if (since === undefined) this.#since.set(what, now)
    return now - (since ?? now)
  }
}
