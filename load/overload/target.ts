// What a driver of overloads needs of a protocol.

/** How a call ended: `shed` with UNAVAILABLE or 503, `expired` with DEADLINE_EXCEEDED. */
export type Ended = 'answered' | 'shed' | 'expired' | 'failed'

export interface Connection {
  /** Whether another call may be sent now. */
  free(): boolean
  /** Whether it is of no more use. */
  closed(): boolean
  /** Sends call number `call` with the request of `key`, at the next `flush`. */
  send(call: number, key: number): void
  /** The caller has gone; its call ends without being told. */
  cancel(call: number): void
  /** Writes out what was sent since the last one. */
  flush(): void
  close(): void
}
