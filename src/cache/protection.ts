// M(W), the number that decides how available a mesh is while a backend is down: the share of requests that would find
// no verdict young enough to serve if the backend died now. With it, the availability that an outage would leave can
// be told before the outage.

import { CACHE_PREDICTED_NINES, CACHE_UNPROTECTED_SHARE } from '../kernel/metrics/cache.ts'
import type { Clock, Gauge, Meter } from '../kernel/ports.ts'

/** The share is an average over about this many milliseconds. */
const WINDOW_MS = 300_000
/** Unavailability of a backend that the prediction assumes: three nines. */
const BACKEND_UNAVAILABILITY = 1e-3

export interface ProtectionReading {
  readonly requests: number
  /** M(W), 0 to 1. */
  readonly unprotected: number
  /** −log10 of the predicted share of failing requests for a backend that is down 0.1 % of the time; at most 9. */
  readonly predictedNines: number
}

/** Counts requests of one handler into two half-windows, so that old traffic fades. */
class Share {
  #since: number
  #current = { requests: 0, unprotected: 0 }
  #previous = { requests: 0, unprotected: 0 }

  constructor(now: number) {
    this.#since = now
  }

  record(now: number, isProtected: boolean): void {
    if (now - this.#since > WINDOW_MS / 2) {
      this.#previous = this.#current
      this.#current = { requests: 0, unprotected: 0 }
      this.#since = now
    }
    this.#current.requests++
    if (!isProtected) this.#current.unprotected++
  }

  read(): ProtectionReading {
    const requests = this.#current.requests + this.#previous.requests
    const unprotected = requests === 0 ? 0 : (this.#current.unprotected + this.#previous.unprotected) / requests
    const failing = BACKEND_UNAVAILABILITY * unprotected
    return { requests, unprotected, predictedNines: failing < 1e-9 ? 9 : -Math.log10(failing) }
  }
}

/** Records, per handler, whether each request could have been answered without its backend. */
export class Protection {
  readonly #shares = new Map<string, Share>()
  readonly #clock: Clock
  readonly #gauges: Record<'share' | 'nines', (labels: { handler: string }) => Gauge>

  constructor(clock: Clock, meter: Meter) {
    this.#clock = clock
    this.#gauges = {
      share: meter.gauge(CACHE_UNPROTECTED_SHARE),
      nines: meter.gauge(CACHE_PREDICTED_NINES),
    }
  }

  record(handler: string, isProtected: boolean): void {
    let share = this.#shares.get(handler)
    if (share === undefined) {
      share = new Share(this.#clock.monotonic())
      this.#shares.set(handler, share)
    }
    share.record(this.#clock.monotonic(), isProtected)
  }

  /** Readings by handler; also brings the gauges up to date. */
  read(): ReadonlyMap<string, ProtectionReading> {
    const readings = new Map<string, ProtectionReading>()
    for (const [handler, share] of this.#shares) {
      const reading = share.read()
      readings.set(handler, reading)
      this.#gauges.share({ handler }).set(reading.unprotected)
      this.#gauges.nines({ handler }).set(reading.predictedNines)
    }
    return readings
  }
}
