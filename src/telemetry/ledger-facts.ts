// What is known about reports at one moment, from those who count and from those who hold.

import type { HandlerCounts } from './ledger.ts'
import type { NodeNumbers } from './node-signs.ts'

/** A process that accepts reports, as of its last sign of life. */
export interface NodeFacts extends NodeNumbers {
  readonly process: string
  /** Milliseconds since that sign. */
  readonly silentMs: number
}

/** Records and parcels. */
export interface Arrivals {
  readonly records: number
  readonly parcels: number
}

export interface QueueFacts {
  readonly name: string
  /** All jobs that are in it, in work too. */
  readonly jobs: number
  /** Of these, jobs that are in work or wait for another try. */
  readonly begun: number
}

/**
 * Everything is read in this order, from the source to the end: what moves meanwhile is then seen twice or not counted in,
 * so that what is missing is missing.
 */
export interface LedgerFacts {
  readonly nodes: readonly NodeFacts[]
  /** The queues before the fan-out. */
  readonly reportQueues: readonly QueueFacts[]
  /** By handler. */
  readonly handlerQueues: ReadonlyMap<string, QueueFacts>
  readonly letters: number
  /** What came to the fan-out, by process. */
  readonly arrived: ReadonlyMap<string, Arrivals>
  readonly handlers: ReadonlyMap<string, HandlerCounts>
  /** How long ago the oldest job of the report queues was added; `undefined` where there is none, or nobody asked. */
  readonly oldestMs: number | undefined
}
