// What is asked of the verdict cache, and what it gives.

import type { Instance } from '../adapter-kit/instance.ts'
import type { HandlerConfig } from '../config/snapshot.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { IntermixError } from '../kernel/errors.ts'
import type { Tier, Verdict } from '../kernel/verdict.ts'
import type { VerdictEntry } from './verdict-entry.ts'

/** A running handler, as the cache asks it. */
export interface VerdictSource {
  readonly handler: HandlerConfig
  /** False once the handler has left the config, and while its breaker is not closed: then nothing is refreshed. */
  healthy(): boolean
  /**
   * Asks the backend under the handler's guard. A verdict of kind `allow` or `deny`, at once where no I/O is needed.
   * @param key the instance's cache key: keys that fail are kept from taking the backend from others
   * @throws IntermixError (or rejects with one) where there is no verdict.
   */
  fetch(instance: Instance, deadline: number, key?: string): Verdict | Promise<Verdict>
}

export interface VerdictRequest {
  readonly source: VerdictSource
  readonly instance: Instance
  readonly bag: AttributeBag
  /** On the clock's monotonic time: when the caller gives up. */
  readonly deadline: number
}

/** What a request got. `entry` carries the absolute times; without one the verdict is unknown and `error` says why. */
export type VerdictOutcome =
  | { readonly tier: Tier; readonly entry: VerdictEntry; readonly error?: undefined }
  | { readonly entry?: undefined; readonly error: IntermixError }
