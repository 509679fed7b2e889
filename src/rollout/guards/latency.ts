// Whether checks take longer by the candidate: most of them, or the slowest. Looked at once, at the end of a stage.

import { runsCandidate } from '../cohort.ts'
import { median } from '../statistics/median.ts'
import { mannWhitney } from '../statistics/mann-whitney.ts'
import type { Situation } from '../situation.ts'
import type { Counters, SeenObservation } from '../observation.ts'
import { alphaOf, type Guard, SERVING_TESTS, shown } from './guard.ts'

/** Windows of which each side must have some. */
const LEAST_WINDOWS = 4
/**
 * A candidate may take so much longer: a difference that is certain need not be one that matters. And so many microseconds:
 * caches are cold where a version has just been taken into use, and code that runs for the first time is slow, which shows where
 * checks take some tens of microseconds. The slowest checks are those that wait for a backend, a few more of them where caches are cold.
 */
const HARMFUL = { most: { ratio: 1.2, us: 250 }, slowest: { ratio: 2, us: 5_000 } } as const
/** Standard deviations by which machines differ anyhow, where many tell of them. */
const SPREAD_BENEFIT = 3

/** By how much processes differ that all run the stable version, on machines of their own: relative to their mean. */
export function latencySpread({ byStable }: Situation): number {
  return spreadOf(byStable, ({ medians }) => medians)
}

export function latencyGuard(situation: Situation): Guard {
  const name = 'latency'
  const known = situation.rollout.baseline.spread.latency
  const seen = compared(situation, { times: ({ medians }) => medians, known, bounds: HARMFUL.most })
  if (seen === 'alone') return { name, verdict: 'pass', words: ALONE }
  if (seen.isShort) return { name, verdict: 'open', words: `${seen.words}: ${LEAST_WINDOWS} each are needed` }
  return { name, verdict: seen.isSlower ? 'fail' : 'pass', words: `median ${seen.words}` }
}

/** One check in a hundred may be what hurts. The first half of a stage is left out: then caches are cold. */
export function slowestGuard(situation: Situation): Guard {
  const name = 'slowest checks'
  const times = ({ tails }: Counters) => tails.slice(Math.floor(tails.length / 2))
  const seen = compared(situation, { times, known: 0, bounds: HARMFUL.slowest })
  if (seen === 'alone') return { name, verdict: 'pass', words: ALONE }
  // The guard of medians waits for what is missing; one in a hundred of few requests is nothing that could be waited for.
  if (seen.isShort) return { name, verdict: 'pass', words: 'too few checks to tell the slowest hundredth' }
  return { name, verdict: seen.isSlower ? 'fail' : 'pass', words: `p99 ${seen.words}` }
}

const ALONE = 'all nodes run it: there is none to compare with'

interface Kind {
  readonly times: (counters: Counters) => readonly number[]
  /** By how much processes differed before. */
  readonly known: number
  readonly bounds: { readonly ratio: number; readonly us: number }
}

function compared(situation: Situation, { times, known, bounds }: Kind) {
  const { byCandidate, byStable, rollout, heard } = situation
  const ones = byCandidate.flatMap(({ counters }) => times(counters))
  const others = byStable.flatMap(({ counters }) => times(counters))
  // Workers answer no checks. A node that is only not heard now is there.
  const isStable = ({ kind, node }: SeenObservation) => kind === 'node' && !runsCandidate(rollout, node)
  if (others.length === 0 && !heard.observations.some(isStable)) return 'alone'
  if (ones.length < LEAST_WINDOWS || others.length < LEAST_WINDOWS)
    return { isShort: true, isSlower: false, words: `${ones.length} windows, stable: ${others.length}` }
  const [one, other] = [median(ones), median(others)]
  const spread = benefitOf(mediansOf(byStable, times).length) * Math.max(known, spreadOf(byStable, times))
  const most = Math.max(bounds.ratio * other, (1 + spread) * other, other + bounds.us)
  const isSlower = one >= most && mannWhitney(ones, others) < alphaOf(SERVING_TESTS)
  return { isShort: false, isSlower, words: `${us(one)}, stable: ${us(other)}, up to ${us(most)} is harmless` }
}

/** Few processes tell little of how far another one may be off: near the 99.8 % of Student's t for a further value. */
function benefitOf(processes: number): number {
  return SPREAD_BENEFIT * (1 + 4 / Math.max(1, processes - 1))
}

function mediansOf(observations: readonly SeenObservation[], times: Kind['times']): readonly number[] {
  return observations
    .map(({ counters }) => times(counters))
    .filter(({ length }) => length > 0)
    .map(median)
}

function spreadOf(observations: readonly SeenObservation[], times: Kind['times']): number {
  const medians = mediansOf(observations, times)
  if (medians.length < 2) return 0
  const mean = medians.reduce((sum, us) => sum + us, 0) / medians.length
  const variance = medians.reduce((sum, us) => sum + (us - mean) ** 2, 0) / (medians.length - 1)
  return mean > 0 ? Math.sqrt(variance) / mean : 0
}

function us(time: number): string {
  return `${shown(Math.round(time))} µs`
}
