// Who takes the place of processes that ran the candidate and have left in good order, as a deployment replaces them. Whoever
// fell silent without a word is waited for: it may have died of the candidate, which is for the guards to say.

import { firstOf, runsCandidate, thresholdFor } from './cohort.ts'
import type { SeenObservation } from './observation.ts'
import { SILENT_MS, type Situation } from './situation.ts'
import { isOfOneNode, SHARES } from './stages.ts'
import type { Rollout } from './state.ts'

/** What makes others take over; `undefined` where that is not called for. */
export function successionOf(situation: Situation) {
  const { stage } = situation.rollout
  if (isOfOneNode(stage)) return anotherFirst(situation)
  return SHARES[stage] === undefined ? undefined : anotherCohort(situation)
}

/**
 * The one node has left in good order, or nobody has heard of it for longer than what is said counts: another one takes its
 * place. One that has only just fallen silent is waited for.
 */
function anotherFirst({ heard: { observations, watchedMs }, nodes, rollout }: Situation) {
  const { first: old } = rollout
  const last = observations.find(({ node }) => node === old)
  if (last === undefined ? watchedMs < SILENT_MS : !last.isLeaving) return undefined
  const first = successor(rollout, nodes)
  return first === undefined ? undefined : ({ kind: 'choose-first', first } as const)
}

/**
 * No node is left of the cohort of a share, as where a deployment has replaced all of them by processes of other names: the
 * share is worked out again for those that are there, with one node at least.
 */
function anotherCohort({ heard: { observations, watchedMs }, nodes, present, rollout }: Situation) {
  const isThere = new Set(present)
  const isOf = ({ node, version }: SeenObservation) => version === rollout.candidate || runsCandidate(rollout, node)
  const isKept = observations.some((one) => isOf(one) && !one.isLeaving && (one.kind === 'node' || !isThere.has(one)))
  if (isKept || watchedMs < SILENT_MS) return undefined
  const first = successor(rollout, nodes)
  if (first === undefined) return undefined
  const processes = present.filter(({ isLeaving }) => !isLeaving).map(({ node }) => node)
  const threshold = thresholdFor({ ...rollout, first }, rollout.stage, processes)
  return { kind: 'choose-cohort', from: rollout.stage, first, threshold } as const
}

function successor(rollout: Rollout, nodes: readonly SeenObservation[]): string | undefined {
  return firstOf(
    rollout,
    nodes.map(({ node }) => node).filter((node) => node !== rollout.first),
  )
}
