// Whether processes die of the candidate, or refuse it: by their votes, and by falling silent while they ran it or took it up.

import type { SeenObservation } from '../observation.ts'
import { SILENT_MS, type Situation } from '../situation.ts'
import { isOfOneNode } from '../stages.ts'
import { type Guard, shown } from './guard.ts'

/** As many votes are enough in a stage that goes by shares, or so much of the cohort. */
const VOTES = 2
const SHARE = 0.05

/**
 * One vote is enough where one node has it. Where as large a part of the stable processes falls silent, it is not the
 * candidate that they die of.
 */
export function crashGuard(situation: Situation): Guard {
  const { rollout, votes, cohort, goneCandidates: gone, heard } = situation
  const name = 'crashes'
  const suspects = isCommon(situation) ? [] : gone
  const against = new Set([...votes.map(({ node }) => node), ...suspects.map(({ node }) => node)])
  const size = new Set([...cohort.map(({ node }) => node), ...against]).size
  const isOne = rollout.stage === 'preflight' || isOfOneNode(rollout.stage)
  const words = [
    ...votes.map(({ node, reason }) => `${node} holds it for bad: ${reason}`),
    ...suspects.map((one) => {
      const part = one.version === rollout.candidate ? 'ran it' : 'was to take it up'
      const end = heard.died.includes(one) ? 'died: it was started again' : `has been silent for ${SILENT_MS / 1_000} s`
      return `${one.node} ${part} and ${end}`
    }),
  ]
  if (against.size === 0) return { name, verdict: 'pass', words: 'no process has died of it or refused it' }
  const isEnough = isOne || against.size >= VOTES || against.size >= SHARE * size
  const told = words.slice(0, 3).join('; ')
  if (isEnough) return { name, verdict: 'fail', words: told }
  return { name, verdict: 'pass', words: `${told} (${shown(against.size)} of ${shown(size)})` }
}

function isCommon({ cohort, present, goneCandidates, goneStable }: Situation): boolean {
  if (goneStable.length === 0) return false
  const inCohort = new Set(cohort)
  const others = present.filter((one) => !inCohort.has(one))
  return shareOf(goneCandidates, cohort) <= 2 * shareOf(goneStable, others)
}

/** Who has died may be there again. */
function shareOf(gone: readonly SeenObservation[], there: readonly SeenObservation[]): number {
  const names = (list: readonly SeenObservation[]) => list.map(({ node }) => node)
  return new Set(names(gone)).size / new Set(names([...gone, ...there])).size
}
