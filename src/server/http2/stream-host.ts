// What a stream needs of its connection, and a connection of its server.

import type { Clock } from '../../kernel/ports.ts'
import type { MemoryBudget } from '../../wire/http2/memory-budget.ts'
import type { Output } from './output.ts'
import type { RefusalReason } from './refused-call.ts'

/** What all streams of a server share. */
export interface StreamLimits {
  readonly clock: Clock
  /** Largest message taken. */
  readonly maxMessageBytes: number
  /** What one connection's requests may take that have not come as a whole. */
  readonly budgetBytes: number
  /** Hears of what a method threw, which no method should. */
  readonly onFault: (caught: unknown, message: string) => void
  /** Hears of each call that its method does not hear of. */
  readonly onRefused: (reason: RefusalReason) => void
}

/** A stream that has data to send and no room. */
export interface Waiting {
  /** Sends one frame. */
  pump(): void
  /** The connection has sent what it had. */
  outputDrained(): void
}

/**
 * What becomes of what a peer still sends on a stream that we have ended: it is dropped (`discard`), the peer is asked to stop
 * (`reset`), or the stream goes on to read it (`keep`).
 */
export type WhenSent = 'discard' | 'reset' | 'keep'

export interface StreamHost {
  readonly limits: StreamLimits
  /** For requests that have not come as a whole. */
  readonly budget: MemoryBudget
  /** For answers that wait until the peer gives a window. */
  readonly unsentBudget: MemoryBudget
  readonly output: Output
  /** What the peer takes on each stream before it gives more. */
  readonly initialWindow: number
  /** Who calls, for logs. */
  readonly peer: string
  /** Bytes that the peer takes on all streams together. */
  sendWindow: number
  /** When what is read now arrived, in milliseconds since the epoch. */
  arrivedAt(): number
  /** Lets a stream send a frame when it is its turn and there is room. */
  wait(stream: Waiting): void
  /** Tells a stream when the connection has sent what it has now. */
  waitForOutput(stream: Waiting): void
  /** A stream has sent data, for which the peer may open windows again. */
  dataSent(): void
  /** Our side of a stream is closed. */
  sent(id: number, remoteClosed: boolean, then: WhenSent): void
  /** Ends a stream in both directions with an error of `ErrorCode`. */
  reset(id: number, code: number): void
  /** A method goes on with a call (1) that is over for the peer, or has come to its end (-1). */
  orphaned(by: 1 | -1): void
}
