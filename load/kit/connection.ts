// What the driver needs of a protocol.

/**
 * How a call ended. `allow` and `deny` are answers; `shed`: UNAVAILABLE, RESOURCE_EXHAUSTED or 503; `expired`:
 * DEADLINE_EXCEEDED; `missing`: the server has no such door; `failed`: anything else.
 */
export type Ended = 'allow' | 'deny' | 'shed' | 'expired' | 'missing' | 'failed'

/** What a connection tells its owner. */
export interface ConnectionEvents {
  /** The call has ended. `why` explains other ends than answers. */
  ended(call: number, how: Ended, why?: string): void
  /** The connection has ended, without our doing. */
  lost(why: string): void
  /** All that has just come in over this connection is told: time to send more. */
  read(connection: Connection): void
}

export interface Connection {
  /** Whether another call may be sent now. */
  free(): boolean
  /** Whether it is of no more use for new calls. */
  closed(): boolean
  /** Sends call number `call` with the request of `key`, at the next `flush`. */
  send(call: number, key: number): void
  /** The caller has gone; its call ends without being told. Sends what was to be flushed. */
  cancel(call: number): void
  /** Writes out what was sent since the last one. */
  flush(): void
  close(): void
}

/** Where a server listens. */
export interface Address {
  readonly host: string
  readonly port: number
  /** The Unix socket that is meant in place of both. */
  readonly path?: string
}

/** Reads `HOST:PORT`. */
export function addressOf(text: string): Address {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) }
}
