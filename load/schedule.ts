// When requests are sent and when outages happen, fixed before the run: a slow answer must not slow the questions down.

import { exponential } from './random.ts'

/** A part of a run: the rate goes evenly from `from` to `to` requests a second. */
export interface Phase {
  readonly from: number
  readonly to: number
  readonly seconds: number
}

/**
 * Times in ms from the start at which requests are sent, ascending: a Poisson process whose rate follows the phases. Exact
 * also on a ramp: the requests expected so far grow by exponential steps, and the time at which they are so many is solved for.
 */
export function* poissonTimes(phases: readonly Phase[], random: () => number): Generator<number, void> {
  let expected = exponential(1, random)
  let startMs = 0
  for (const { from, to, seconds } of phases) {
    const slope = (to - from) / seconds
    const all = ((from + to) / 2) * seconds
    while (expected < all) {
      // The root of slope / 2 t² + from t = expected that stays exact where the slope is 0.
      const t = (2 * expected) / (from + Math.sqrt(Math.max(0, from * from + 2 * slope * expected)))
      yield startMs + t * 1_000
      expected += exponential(1, random)
    }
    expected -= all
    startMs += seconds * 1_000
  }
}

/** All times of one steady rate. */
export function arrivals(perSecond: number, durationMs: number, random: () => number): Float64Array {
  return Float64Array.from(poissonTimes([{ from: perSecond, to: perSecond, seconds: durationMs / 1_000 }], random))
}

/** A time without backends, in ms from the start. */
export interface Outage {
  readonly from: number
  readonly to: number
}

export interface OutageOptions {
  readonly durationMs: number
  /** Time before the first outage, for caches to fill. */
  readonly warmUpMs: number
  readonly meanDownMs: number
  readonly minDownMs: number
  readonly maxDownMs: number
  readonly meanUpMs: number
  /** The least time between two outages, so that one has passed over before the next begins. */
  readonly minUpMs: number
}

/** Alternates outages and pauses of exponential length within bounds; the run ends with a pause. */
export function outages(options: OutageOptions, random: () => number): readonly Outage[] {
  const { durationMs, warmUpMs, meanDownMs, minDownMs, maxDownMs, meanUpMs, minUpMs } = options
  const list: Outage[] = []
  for (let from = warmUpMs; ; ) {
    const to = from + Math.min(maxDownMs, minDownMs + exponential(Math.max(1, meanDownMs - minDownMs), random))
    if (to + minUpMs > durationMs) return list
    list.push({ from, to })
    from = to + minUpMs + exponential(Math.max(1, meanUpMs - minUpMs), random)
  }
}
