// What a node's parent and its serving processes say to each other, by name.

import type { HealthCheck } from '../observe/health.ts'

/** Parent to process, with its `Settings`: begin. */
export const START = 'start'
/** Parent to process: finish what is in flight, and end. */
export const STOP = 'stop'
/** Process to parent, with an `Announcement`: it serves. */
export const STARTED = 'started'
/** Process to parent, with a text for people: it could not start, and ends. */
export const START_FAILED = 'start failed'
/** Parent to process, answered with a `HealthAnswer`. */
export const HEALTH = 'health'
/** Parent to process, answered with a `MetricsSnapshot`. */
export const METRICS = 'metrics'
/** Parent to process, with the name of a debug view; answered with its JSON. */
export const VIEW = 'view'
/** Parent to process, with an `OperationRequest` and its name; answered with an `OperationReply`. */
export const OPERATION = 'operation'
/** Parent to process, with a level. */
export const LOG_LEVEL = 'log level'
/** Process to parent, with a `SiblingQuestion`; answered with `SiblingAnswers`. */
export const SIBLINGS = 'siblings'
/** Parent to each other process, with a `SiblingQuestion`. */
export const SIBLING = 'sibling'

export interface Announcement {
  readonly addresses: Readonly<Record<string, string>>
  readonly facts?: Readonly<Record<string, string>> | undefined
  /** Names of debug views and of operations. */
  readonly views: readonly string[]
  readonly operations: readonly string[]
  readonly health: HealthAnswer
}

export interface HealthAnswer {
  readonly ready: boolean
  readonly checks: readonly HealthCheck[]
  /** Which config it serves; `undefined` before there is one. */
  readonly config?: string | undefined
}

export interface SiblingQuestion {
  readonly name: string
  readonly question: unknown
}
