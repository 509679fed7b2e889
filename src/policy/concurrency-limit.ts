// How many calls a backend can take at once, learnt from its latency: Gradient2 of Netflix's concurrency-limits, with a
// tolerance as in later ports and a multiplicative decrease on drops, which the original leaves out.

export interface ConcurrencyLimitOptions {
  readonly initial?: number
  readonly min?: number
  readonly max?: number
}

/** Latency may rise to this multiple of its long-term mean before the limit shrinks. */
const TOLERANCE = 1.5
/** Calls that may wait at the backend without it being called overloaded. */
const QUEUE = 4
const SMOOTHING = 0.2
const DROP_FACTOR = 0.9
/** Samples over which the long-term mean forgets, downwards and upwards. */
const LONG_WINDOW_DOWN = 600
// Ten times slower than in the original: under lasting overload its mean follows the overload, and the limit with it.
const LONG_WINDOW_UP = 6_000
/** The first samples are averaged evenly, so that one slow first call does not count for hundreds. */
const WARM_UP = 10
const LEAST_RTT_MS = 0.05

/** An adaptive limit between `min` (default 1) and `max` (default 200), beginning at `initial` (default 20). */
export class ConcurrencyLimit {
  readonly #min: number
  readonly #max: number
  #limit: number
  #longRtt = 0
  #samples = 0

  constructor({ initial = 20, min = 1, max = 200 }: ConcurrencyLimitOptions = {}) {
    this.#min = Math.max(1, min)
    this.#max = Math.max(this.#min, max)
    this.#limit = Math.min(this.#max, Math.max(this.#min, initial))
  }

  /** The limit now, a whole number of at least 1. */
  get current(): number {
    return Math.floor(this.#limit)
  }

  /** What answers take in the long run, in milliseconds; `undefined` before the first. */
  get usualMs(): number | undefined {
    return this.#samples === 0 ? undefined : this.#longRtt
  }

  /** A call ended in time after `rttMs`; `inFlight` counts it and those beside it. */
  sample(rttMs: number, inFlight: number): void {
    const rtt = Math.max(LEAST_RTT_MS, rttMs)
    this.#learn(rtt)
    // A limit that is not made use of says nothing about what the backend could take.
    if (inFlight < this.#limit / 2) return
    const gradient = Math.max(0.5, Math.min(1, (TOLERANCE * this.#longRtt) / rtt))
    const target = this.#limit * gradient + QUEUE
    this.#set(this.#limit * (1 - SMOOTHING) + target * SMOOTHING)
  }

  /** A call timed out or was refused for overload; `weight` says for how much of one it counts. */
  drop(weight = 1): void {
    this.#set(this.#limit * DROP_FACTOR ** weight)
  }

  #learn(rtt: number): void {
    this.#samples += 1
    const window = rtt > this.#longRtt ? LONG_WINDOW_UP : LONG_WINDOW_DOWN
    const weight = this.#samples <= WARM_UP ? 1 / this.#samples : 2 / (window + 1)
    this.#longRtt += (rtt - this.#longRtt) * weight
    // After a slow spell the mean would take hundreds of samples to come down, and allow too much meanwhile.
    if (this.#longRtt > 2 * rtt) this.#longRtt *= 0.9
  }

  #set(limit: number): void {
    this.#limit = Math.min(this.#max, Math.max(this.#min, limit))
  }
}
