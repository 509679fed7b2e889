// Bounds on what a peer may make us do without calling. Who goes beyond is told to be calm, and cut off.

import type { Clock } from '../../kernel/ports.ts'
import { ConnectionError } from './connection-error.ts'
import { ErrorCode } from './frames.ts'
import { RateBound } from './rate-bound.ts'

/**
 * Frames that make work and carry none of a call: a burst of them, so many a second, and so many for each that does. Peers
 * measure a connection with PINGs and give windows in small pieces; nobody needs more.
 */
const NUISANCES = { burst: 2_000, perSecond: 500, perCall: 4, perData: 2 }
/**
 * Calls that the peer may take back: a burst and so many a second. A proxy whose callers run out of time takes back every call,
 * which is what happens in an overload. What methods still do for calls that were taken back counts as calls of the connection.
 */
const RESETS = { burst: 20_000, perSecond: 20_000 }

export class AbuseBounds {
  readonly #clock: Clock
  /** Most connections never need them. */
  #nuisances: RateBound | undefined
  #resets: RateBound | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A frame that is allowed and of no use. @throws ConnectionError where there are too many. */
  nuisance(): void {
    this.#nuisances ??= new RateBound(NUISANCES.burst, NUISANCES.perSecond)
    if (!this.#nuisances.take(this.#clock.monotonic()))
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too many frames that carry nothing', 'abuse')
  }

  /** A call was taken back. @throws ConnectionError where there are too many. */
  takenBack(): void {
    this.#resets ??= new RateBound(RESETS.burst, RESETS.perSecond)
    if (!this.#resets.take(this.#clock.monotonic()))
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too many calls are taken back', 'abuse')
  }

  /** A call was begun. */
  called(): void {
    this.#nuisances?.give(NUISANCES.perCall)
  }

  /** Data came or was sent: windows are to be opened for it. */
  dataPassed(): void {
    this.#nuisances?.give(NUISANCES.perData)
  }
}
