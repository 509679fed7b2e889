// Measures turns of the event loop from within: when one began, how long its calls have waited, what they will cost.

import type { Clock, LoopLag } from '../kernel/ports.ts'

export type EndOfTurn = (callback: () => void) => void

interface TurnMeterOptions {
  readonly clock: Clock
  readonly loopLag: LoopLag
  readonly idleMs?: () => number
  readonly endOfTurn?: EndOfTurn
  /** The loop had nothing to do since the last turn. */
  readonly onRest: () => void
  /** A turn that took in calls has ended, after so long. */
  readonly onEnd: (lengthMs: number) => void
}

/** How much a turn weighs in the estimate beside the one after it. */
const DECAY = 0.9
/** About what a refusal costs of a call. A turn of many refusals must not make calls look dear. */
const REFUSAL_SHARE = 0.25
/** Less rest than this is the loop's own grain. */
const REST_MS = 0.5

/**
 * A turn begins with the first call that is read in it and ends when the loop has read all sockets that had something.
 * Turns in which no call comes are none.
 */
export class TurnMeter {
  /** Calls let in during this turn, and calls refused. */
  admitted = 0
  refused = 0
  /** Length of the turn before. */
  lastMs = 0
  readonly #options: TurnMeterOptions
  readonly #idleMs: () => number
  readonly #endOfTurn: EndOfTurn
  #open = false
  #startedAt = 0
  /** How late the loop was when the turn began: what it reads now was there before. */
  #lateMs = 0
  #idleAtEnd = 0
  /** Weighted sums over past turns: their lengths and their calls. */
  #pastMs = 0
  #pastCalls = 0

  constructor(options: TurnMeterOptions) {
    this.#options = options
    this.#idleMs = options.idleMs ?? (() => performance.nodeTiming.idleTime)
    this.#endOfTurn = options.endOfTurn ?? setImmediate
  }

  /** A call was read: it opens the turn where it is the first. */
  arrive(now: number): void {
    if (this.#open) return
    this.#open = true
    this.#startedAt = now
    this.#lateMs = this.#options.loopLag.lagMs()
    this.admitted = 0
    this.refused = 0
    if (this.#idleMs() - this.#idleAtEnd > REST_MS) this.#options.onRest()
    this.#endOfTurn(this.#end)
  }

  /** How long a call that is read at `now` may have waited; 0 outside of a turn. */
  waitedMs(now: number): number {
    return this.#open ? this.#lateMs + now - this.#startedAt : 0
  }

  /** What the calls that were let in during this turn usually cost, answered or not. */
  workMs(): number {
    return this.admitted * this.callMs()
  }

  /** What a call has cost lately. */
  callMs(): number {
    return this.#pastCalls === 0 ? 0 : this.#pastMs / this.#pastCalls
  }

  readonly #end = (): void => {
    const lengthMs = this.#options.clock.monotonic() - this.#startedAt
    this.#open = false
    this.#idleAtEnd = this.#idleMs()
    this.#pastMs = this.#pastMs * DECAY + lengthMs
    this.#pastCalls = this.#pastCalls * DECAY + this.admitted + this.refused * REFUSAL_SHARE
    this.lastMs = lengthMs
    this.#options.onEnd(lengthMs)
  }
}
