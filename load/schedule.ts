// When requests are sent and when outages happen, fixed before the run: a slow answer must not slow the questions down.

import { exponential } from './random.ts'

/** Times in ms from the start at which requests are sent: a Poisson process, ascending. */
export function arrivals(perSecond: number, durationMs: number, random: () => number): Float64Array {
  const times: number[] = []
  const gapMs = 1_000 / perSecond
  for (let at = exponential(gapMs, random); at < durationMs; at += exponential(gapMs, random)) times.push(at)
  return Float64Array.from(times)
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
