// Whether those that are to run the candidate do, and can serve by it. Missing data never lets a candidate pass.

import { stageKey } from '../state.ts'
import type { Situation } from '../situation.ts'
import { type Guard, percent, shown } from './guard.ts'

/** Part of the cohort that must run the candidate. */
const LEAST_SHARE = 0.9
/** A process may need that long until it can serve, or serve again. */
const SETTLE_MS = 30_000

export function presenceGuard(situation: Situation): Guard {
  const { state, rollout, cohort, goneCandidates } = situation
  const name = 'cohort'
  const key = stageKey(state)
  const runs = rollout.stage === 'shadow' ? state.stable : rollout.candidate
  const acting = cohort.filter(({ stage, version }) => stage === key && version === runs)
  const size = new Set([...cohort, ...goneCandidates].map(({ node }) => node)).size
  const words = `${shown(acting.length)} of ${shown(size)} processes ${rollout.stage === 'shadow' ? 'evaluate' : 'run'} it`
  const isEnough = size > 0 && acting.length >= LEAST_SHARE * size
  return {
    name,
    verdict: isEnough ? 'pass' : 'open',
    words: isEnough ? words : `${words}: ${percent(LEAST_SHARE)} must`,
  }
}

/** Whether they can serve. Where as large a part of the others cannot either, it is not the candidate's fault. */
export function healthGuard({ rollout, cohort, present, illMs }: Situation): Guard {
  const name = 'health'
  const ill = cohort.filter(({ isHealthy, version }) => !isHealthy && version === rollout.candidate)
  if (ill.length === 0) return { name, verdict: 'pass', words: 'all that run it can serve' }
  const words = `${ill
    .map(({ node }) => node)
    .slice(0, 3)
    .join(', ')} cannot serve`
  const inCohort = new Set(cohort)
  const others = present.filter((one) => !inCohort.has(one) && !one.isLeaving)
  const illOthers = others.filter(({ isHealthy }) => !isHealthy)
  const isCommon = illOthers.length > 0 && ill.length / cohort.length <= (2 * illOthers.length) / others.length
  if (isCommon) return { name, verdict: 'open', words: `${words}, nor can others that do not run it` }
  const isLasting = ill.some(({ node }) => (illMs.get(node) ?? 0) >= SETTLE_MS)
  if (!isLasting) return { name, verdict: 'open', words: `${words} now` }
  return { name, verdict: 'fail', words: `${words} for ${SETTLE_MS / 1_000} s, which others can` }
}
