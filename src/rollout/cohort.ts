// Which processes run the candidate. Each has a place in an order that the rollout's id makes (rendezvous hashing): stages
// take more and more of the same order, so that who runs the candidate at 5 % runs it at 25 %.

import { createHash } from 'node:crypto'
import { isOfOneNode, SHARES, type Stage } from './stages.ts'
import type { Rollout, RolloutState } from './state.ts'

/**
 * What a process does with the versions of a state. `version` is what it answers by; `shadow` evaluates `candidate` beside
 * it, without effects.
 */
export interface Assignment {
  readonly version: string
  readonly role: 'stable' | 'candidate' | 'shadow'
  readonly candidate: string | undefined
}

/** Where a process stands in the order of a rollout: in [0, 1), the same for everybody who asks. */
function scoreOf({ id, candidate }: Pick<Rollout, 'id' | 'candidate'>, node: string): number {
  const digest = createHash('sha256')
    .update(JSON.stringify([id, candidate, node]))
    .digest()
  return digest.readUIntBE(0, 6) / 2 ** 48
}

/** The first one of the order; `undefined` where nobody is there. */
export function firstOf(rollout: Pick<Rollout, 'id' | 'candidate'>, nodes: readonly string[]): string | undefined {
  return inOrder(rollout, nodes)[0]?.node
}

/**
 * The score up to which processes run the candidate in a stage, so that it is the stage's share of those that are there:
 * one at least. `first`, where it is there, is one of them whatever its score. Who joins later is in it by its own score,
 * whoever else is there.
 */
export function thresholdFor(
  rollout: Pick<Rollout, 'id' | 'candidate'> & Partial<Pick<Rollout, 'first'>>,
  stage: Stage,
  nodes: readonly string[],
): number {
  const share = SHARES[stage]
  if (share === undefined) return stage === '100%' ? 1 : 0
  const others = inOrder(rollout, nodes).filter(({ node }) => node !== rollout.first)
  const places = Math.max(1, Math.ceil(share * nodes.length)) - (nodes.length - others.length)
  return others[places - 1]?.score ?? 0
}

/** Whether a process answers by the candidate. It follows from the state alone: all that ask agree. */
export function runsCandidate(rollout: Rollout, node: string): boolean {
  const { stage, status, first, threshold } = rollout
  if (status === 'rolling-back' || stage === 'preflight' || stage === 'shadow') return false
  if (stage === '100%' || node === first) return true
  return !isOfOneNode(stage) && scoreOf(rollout, node) <= threshold
}

/**
 * What a process is to do. While a rollout is paused everybody keeps its part.
 * @returns `undefined` where there is no stable version yet: nobody serves.
 */
export function assignedVersion(state: RolloutState, node: string): Assignment | undefined {
  const { stable, rollout } = state
  if (stable === undefined) return undefined
  if (rollout === undefined) return { version: stable, role: 'stable', candidate: undefined }
  const { candidate, stage, status, first } = rollout
  if (runsCandidate(rollout, node)) return { version: candidate, role: 'candidate', candidate }
  const isShadow = stage === 'shadow' && status !== 'rolling-back' && node === first
  return isShadow
    ? { version: stable, role: 'shadow', candidate }
    : { version: stable, role: 'stable', candidate: undefined }
}

function inOrder(rollout: Pick<Rollout, 'id' | 'candidate'>, nodes: readonly string[]) {
  return nodes
    .map((node) => ({ node, score: scoreOf(rollout, node) }))
    .toSorted((a, b) => a.score - b.score || (a.node < b.node ? -1 : 1))
}
