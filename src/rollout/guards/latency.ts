// Whether checks take longer by the candidate. Looked at once, at the end of a stage.

import { runsCandidate } from '../cohort.ts'
import { median } from '../statistics/median.ts'
import { mannWhitney } from '../statistics/mann-whitney.ts'
import type { Situation } from '../situation.ts'
import { addCounts, quantile } from '../latency-buckets.ts'
import type { SeenObservation } from '../observation.ts'
import { alphaOf, type Guard, SERVING_TESTS, shown } from './guard.ts'

/** Windows of which each side must have some. */
const LEAST_WINDOWS = 4
/** A candidate may take so much longer: a difference that is certain need not be one that matters. */
const HARMFUL_RATIO = 1.2
/**
 * And so many microseconds: caches are cold where a version has just been taken into use, and code that runs for the first
 * time is slow, which shows where checks take some tens of microseconds.
 */
const HARMFUL_US = 250
/** Standard deviations by which machines differ anyhow. */
const SPREAD_BENEFIT = 3

/** By how much processes differ that all run the stable version, on machines of their own: relative to their mean. */
export function latencySpread({ byStable }: Situation): number {
  const medians = byStable
    .filter(({ counters }) => counters.medians.length > 0)
    .map(({ counters }) => median(counters.medians))
  if (medians.length < 2) return 0
  const mean = medians.reduce((sum, us) => sum + us, 0) / medians.length
  const variance = medians.reduce((sum, us) => sum + (us - mean) ** 2, 0) / (medians.length - 1)
  return mean > 0 ? Math.sqrt(variance) / mean : 0
}

export function latencyGuard(situation: Situation): Guard {
  const { byCandidate, byStable, rollout, heard } = situation
  const name = 'latency'
  const ones = byCandidate.flatMap(({ counters }) => counters.medians)
  const others = byStable.flatMap(({ counters }) => counters.medians)
  // Workers answer no checks. A node that is only not heard now is there.
  const isStable = ({ kind, node }: SeenObservation) => kind === 'node' && !runsCandidate(rollout, node)
  if (others.length === 0 && !heard.observations.some(isStable))
    return { name, verdict: 'pass', words: 'all nodes run it: there is none to compare with' }
  if (ones.length < LEAST_WINDOWS || others.length < LEAST_WINDOWS)
    return {
      name,
      verdict: 'open',
      words: `${ones.length} windows, stable: ${others.length}: ${LEAST_WINDOWS} each are needed`,
    }
  const [one, other] = [median(ones), median(others)]
  const spread = SPREAD_BENEFIT * Math.max(rollout.baseline.spread.latency, latencySpread(situation))
  const most = Math.max(HARMFUL_RATIO * other, (1 + spread) * other, other + HARMFUL_US)
  const words = `median ${us(one)}${tail(byCandidate)}, stable: ${us(other)}${tail(byStable)}, up to ${us(most)} is harmless`
  const isSlower = one >= most && mannWhitney(ones, others) < alphaOf(SERVING_TESTS)
  return { name, verdict: isSlower ? 'fail' : 'pass', words }
}

/** Of the slowest hundredth, for people. */
function tail(observations: readonly SeenObservation[]): string {
  const counts = observations.reduce<readonly number[]>((sum, { counters }) => addCounts(sum, counters.latency), [])
  const slow = quantile(counts, 0.99)
  return slow === undefined ? '' : ` (p99 ${us(slow)})`
}

function us(time: number): string {
  return `${shown(Math.round(time))} µs`
}
