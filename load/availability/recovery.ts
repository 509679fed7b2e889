// Whether backends that come back are met by a herd: their load after a recovery, averaged over all recoveries, beside
// the load in steady times.

import type { Outage } from '../schedule.ts'
import { mean } from '../statistics.ts'

export interface RecoveryFigures {
  /** Calls a second in the second before outages. */
  readonly steadyPerSecond: number
  /** Highest mean rate of a half second within 5 s after a recovery. */
  readonly peakPerSecond: number
  readonly peakRatio: number
  /** Mean calls a second in each half second after a recovery. */
  readonly profile: readonly number[]
}

const BIN_MS = 500
const BINS = 10
const STEADY_MS = 1_000

/** @param times of calls, in ms on the clock of the outages */
export function recoveryFigures(times: readonly number[], outages: readonly Outage[]): RecoveryFigures {
  const sorted = Float64Array.from(times).sort()
  const rate = (from: number, forMs: number) =>
    ((indexOf(sorted, from + forMs) - indexOf(sorted, from)) * 1_000) / forMs
  const steadyPerSecond = mean(outages.map(({ from }) => rate(from - STEADY_MS, STEADY_MS)))
  const profile = Array.from({ length: BINS }, (_, bin) => {
    // A bin that reaches into the next outage tells nothing of the recovery.
    const whole = outages.filter(
      ({ to }, i) => to + (bin + 1) * BIN_MS < (outages[i + 1]?.from ?? Number.POSITIVE_INFINITY),
    )
    return mean(whole.map(({ to }) => rate(to + bin * BIN_MS, BIN_MS)))
  })
  const peakPerSecond = Math.max(...profile)
  return {
    steadyPerSecond,
    peakPerSecond,
    peakRatio: steadyPerSecond === 0 ? 0 : peakPerSecond / steadyPerSecond,
    profile,
  }
}

/** How many values of an ascending array lie below `limit`. */
function indexOf(ascending: Float64Array, limit: number): number {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] ?? 0) < limit) low = middle + 1
    else high = middle
  }
  return low
}
