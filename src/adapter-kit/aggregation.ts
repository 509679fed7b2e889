// Adding up before queueing: an adapter whose backend wants numbers, not single reports, says how instances of a template
// become one, and the fan-out does it. One batch then stands for as many reports as there were.

import type { FieldValue, Instance } from './instance.ts'

/**
 * How instances of one template are added up for one handler. Made from the handler's params alone and without I/O: it
 * runs where reports are evaluated, which may be another process than the one that delivers.
 */
export interface Aggregation {
  /** The one field that is asked of every instance; all others say which series it belongs to, and are asked once. */
  readonly observed: string
  /** An empty one, for one parcel of reports. */
  open(): Aggregator
}

export interface Aggregator<S = unknown> {
  /** Where instances with these fields are added up; the observed one is left out. Asked once of an instance object. */
  series(instance: Instance): S
  /** Adds one. `undefined` where the config does not set the field. Never throws: what cannot be added is counted within. */
  observe(series: S, value: FieldValue | undefined): void
  /**
   * What was added up, in pieces of a size that a queue takes; to be called once. The same reports must give the same
   * pieces, whichever of them came with the same instance object: a fan-out that is done again must not count twice.
   */
  take(): readonly Aggregate[]
}

/** A batch of instances added up. */
export interface Aggregate {
  /** How many instances it stands for. */
  readonly count: number
  /** Plain data that JSON keeps as it is, for the handler's `aggregate` method of this template. */
  readonly content: object
  /** What the content takes as JSON, roughly. */
  readonly bytes: number
}
