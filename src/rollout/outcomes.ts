// What transitions have in common: how a stage begins again, and how a rollout ends.

import type { Change, Refusal } from './events.ts'
import { MAX_ENDED, MAX_PREVIOUS, type Outcome, type Rollout, type RolloutState } from './state.ts'
import { shortId } from './version.ts'

export function refusal(refused: Refusal['refused'], message: string): Refusal {
  return { refused, message }
}

/** The state as changed, with the next `rev`. */
export function changed(state: RolloutState, entry: string): Change<RolloutState> {
  return { state: { ...state, rev: state.rev + 1 }, entry, quarantine: new Map(), release: undefined, leastMs: 0 }
}

/** Its stage begins: time and figures count from now on. */
export function restarted(rollout: Rollout, at: number): Rollout {
  return { ...rollout, since: at }
}

/** The state without its rollout. */
export function ended(
  state: RolloutState,
  { id, candidate }: Pick<Rollout, 'id' | 'candidate'>,
  outcome: Outcome['outcome'],
  reason: string,
  at: number,
): RolloutState {
  const last: Outcome = { id, candidate, outcome, reason, at }
  return { ...state, rollout: undefined, ended: [last, ...state.ended].slice(0, MAX_ENDED) }
}

/** The candidate is stable. */
export function settled(state: RolloutState, rollout: Rollout, reason: string, at: number): Change<RolloutState> {
  const { candidate } = rollout
  const old = [state.stable, ...state.previous].filter((id) => id !== undefined && id !== candidate) as string[]
  const next = ended(state, rollout, 'stable', reason, at)
  return changed(
    { ...next, stable: candidate, previous: old.slice(0, MAX_PREVIOUS) },
    `stable ${shortId(candidate)}: ${reason}`,
  )
}

/** No process has served by it: there is nothing to roll back. */
export function rejected(state: RolloutState, rollout: Rollout, reason: string, at: number): Change<RolloutState> {
  const next = changed(
    ended(without(state, rollout.candidate), rollout, 'rejected', reason, at),
    `rejected ${shortId(rollout.candidate)}: ${reason}`,
  )
  return { ...next, quarantine: new Map([[rollout.candidate, reason]]) }
}

/** Everybody goes back to the stable version from now on. What was found bad is put into quarantine. */
export function rollingBack(
  state: RolloutState,
  rollout: Rollout,
  { ending, reason, at }: { ending: 'rolled-back' | 'aborted'; reason: string; at: number },
): Change<RolloutState> {
  const next = restarted({ ...rollout, status: 'rolling-back', reason, ending }, at)
  const entry = `${ending === 'aborted' ? 'abort' : 'roll back'} ${shortId(rollout.candidate)} at ${rollout.stage}: ${reason}`
  if (ending === 'aborted') return changed({ ...state, rollout: next }, entry)
  const change = changed({ ...without(state, rollout.candidate), rollout: next }, entry)
  return { ...change, quarantine: new Map([[rollout.candidate, reason]]) }
}

/** Nobody goes back to what is in quarantine, although it was stable once. */
function without(state: RolloutState, version: string): RolloutState {
  return { ...state, previous: state.previous.filter((id) => id !== version) }
}
