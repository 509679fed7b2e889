// Whether checks take longer by the candidate. Looked at once, at the end of a stage.

import { median } from '../statistics/median.ts'
import { mannWhitney } from '../statistics/mann-whitney.ts'
import type { Situation } from '../situation.ts'
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

export function latencyGuard({ byCandidate, byStable, rollout }: Situation): Guard {
  const name = 'latency'
  const ones = byCandidate.flatMap(({ counters }) => counters.medians)
  const others = byStable.flatMap(({ counters }) => counters.medians)
  if (others.length === 0 && rollout.stage === '100%')
    return { name, verdict: 'pass', words: 'all processes run it: there is none to compare with' }
  if (ones.length < LEAST_WINDOWS || others.length < LEAST_WINDOWS)
    return {
      name,
      verdict: 'open',
      words: `${ones.length} windows, stable: ${others.length}: ${LEAST_WINDOWS} each are needed`,
    }
  const [one, other] = [median(ones), median(others)]
  const words = `median ${shown(Math.round(one))} µs, stable: ${shown(Math.round(other))} µs`
  const isHarmful = one >= HARMFUL_RATIO * other && one - other >= HARMFUL_US
  const isSlower = isHarmful && mannWhitney(ones, others) < alphaOf(SERVING_TESTS)
  return { name, verdict: isSlower ? 'fail' : 'pass', words }
}
