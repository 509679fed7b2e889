// Whether processes die of the candidate, or refuse it: by their votes, and by falling silent while they ran it or took it up.

import { SILENT_MS, type Situation } from '../situation.ts'
import { type Guard, shown } from './guard.ts'

/** As many votes are enough in a stage that goes by shares, or so much of the cohort. */
const VOTES = 2
const SHARE = 0.05

/**
 * One vote is enough where one node has it. Where as large a part of the stable processes falls silent, it is not the
 * candidate that they die of.
 */
export function crashGuard(situation: Situation): Guard {
  const { rollout, votes, cohort, silentCandidates: silent } = situation
  const name = 'crashes'
  const suspects = isCommon(situation) ? [] : silent
  const against = new Set([...votes.map(({ node }) => node), ...suspects.map(({ node }) => node)])
  const size = new Set([...cohort.map(({ node }) => node), ...against]).size
  const isOne = rollout.stage === 'preflight' || rollout.stage === 'shadow' || rollout.stage === 'one-node'
  const words = [
    ...votes.map(({ node, reason }) => `${node} holds it for bad: ${reason}`),
    ...suspects.map(({ node, version }) => {
      const part = version === rollout.candidate ? 'ran it' : 'was to take it up'
      return `${node} ${part} and has been silent for ${SILENT_MS / 1_000} s`
    }),
  ]
  if (against.size === 0) return { name, verdict: 'pass', words: 'no process has died of it or refused it' }
  const isEnough = isOne || against.size >= VOTES || against.size >= SHARE * size
  const told = words.slice(0, 3).join('; ')
  if (isEnough) return { name, verdict: 'fail', words: told }
  return { name, verdict: 'pass', words: `${told} (${shown(against.size)} of ${shown(size)})` }
}

function isCommon({ cohort, present, silentCandidates, silentStable }: Situation): boolean {
  const others = present.length - cohort.length
  if (silentStable.length === 0) return false
  const share = silentStable.length / (others + silentStable.length)
  const ofCandidates = silentCandidates.length / (cohort.length + silentCandidates.length)
  return ofCandidates <= 2 * share
}
