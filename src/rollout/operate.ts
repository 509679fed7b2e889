// What operators do to a rollout.

import type { Change, OperatorEvent, Refusal, RolloutEvent } from './events.ts'
import { changed, ended, refusal, restarted, rollingBack, settled } from './outcomes.ts'
import { isOfOneNode } from './stages.ts'
import { phaseOf, type Rollout, type RolloutState } from './state.ts'
import { shortId } from './version.ts'

type Result = Change<RolloutState> | Refusal

const KINDS: readonly RolloutEvent['kind'][] = ['pause', 'resume', 'promote', 'abort', 'rollback']

export function isOperators(event: RolloutEvent): event is OperatorEvent {
  return KINDS.includes(event.kind)
}

/** What becomes of a state by an operator's word. */
export function operate(state: RolloutState, event: OperatorEvent): Result {
  if (event.kind === 'rollback') return rollback(state, event)
  const { rollout } = state
  if (rollout === undefined) return refusal('not-now', 'no rollout is under way')
  if (rollout.status === 'rolling-back') return refusal('not-now', `it is being rolled back: ${rollout.reason ?? ''}`)
  const { at } = event
  if (event.kind === 'pause') {
    if (rollout.status === 'paused') return refusal('unchanged', `it is paused already: ${rollout.reason ?? ''}`)
    const { reason } = event
    return changed(
      { ...state, rollout: { ...rollout, status: 'paused', reason } },
      `pause at ${rollout.stage}: ${reason}`,
    )
  }
  if (event.kind === 'abort') {
    const { reason } = event
    if (rollout.stage !== 'preflight') return rollingBack(state, rollout, { ending: 'aborted', reason, at })
    return changed(ended(state, rollout, 'aborted', reason, at), `abort ${shortId(rollout.candidate)}: ${reason}`)
  }
  const going: Rollout = { ...rollout, status: 'running', reason: undefined }
  if (event.kind === 'promote') return promote(state, going, event)
  if (rollout.status === 'running') return refusal('unchanged', `it is running, at ${phaseOf(state)}`)
  return changed({ ...state, rollout: restarted(going, at) }, `resume: ${rollout.stage} begins again`)
}

/**
 * Leaves out the shares. The pre-flight, the shadow and the one node stay, with all their guards; what is in a share goes to
 * everybody, and what bakes is stable where that is asked for: whoever asks twice, as nothing seemed to happen, does not mean
 * to leave out the bake.
 */
function promote(
  state: RolloutState,
  rollout: Rollout,
  { by, at, now }: Extract<OperatorEvent, { kind: 'promote' }>,
): Result {
  const { stage, candidate } = rollout
  if (stage === '100%' && !now) {
    const left = Math.max(0, Math.ceil((rollout.pace.bakeMs - (at - rollout.since)) / 1_000))
    return refusal('not-now', `all have it: it bakes at 100% for ${left} s more; promote --now makes it stable at once`)
  }
  if (stage === '100%') return settled(state, rollout, `promoted by ${by}`, at)
  if (stage === 'preflight' || isOfOneNode(stage)) {
    if (rollout.hasty && state.rollout?.status === 'running')
      return refusal('unchanged', 'it goes to 100% behind the one node already')
    // Whoever was paused begins its stage again; what is running goes on.
    const going = state.rollout?.status === 'paused' ? restarted(rollout, at) : rollout
    return changed({ ...state, rollout: { ...going, hasty: true } }, `promote ${shortId(candidate)}: without shares`)
  }
  const all: Rollout = restarted({ ...rollout, stage: '100%', hasty: true }, at)
  return changed({ ...state, rollout: all }, `promote ${shortId(candidate)}: ${stage} → 100%`)
}

/**
 * Whoever asks to go back, and names no version, may have been overtaken by a guard or by another operator: the version that
 * is stable then is the one that they want.
 */
function wentBack({ rollout, stable, previous, ended: [last] }: RolloutState): Refusal | undefined {
  if (rollout !== undefined || last === undefined || stable === undefined || previous.length === 0) return undefined
  if (last.outcome === 'stable') return undefined
  const what = `${shortId(last.candidate)} is ${last.outcome} already (${last.reason}), and ${shortId(stable)} is stable`
  return refusal('not-now', `${what}: to leave that one, name the version to go back to, of ${shown(previous)}`)
}

function shown(versions: readonly string[]): string {
  return versions.map(shortId).join(', ') || 'none'
}

/**
 * To the stable version while a rollout is under way, else to one that was stable before. What is left that way goes into
 * quarantine.
 */
function rollback(state: RolloutState, event: Extract<OperatorEvent, { kind: 'rollback' }>): Result {
  const { rollout, stable, previous } = state
  const { at, reason } = event
  const done = event.to === undefined ? wentBack(state) : undefined
  if (done !== undefined) return done
  const to = event.to ?? (rollout === undefined ? previous[0] : stable)
  if (to !== undefined && to === stable) {
    if (rollout === undefined) return refusal('unchanged', `${shortId(to)} is stable, and nothing else is under way`)
    if (rollout.status === 'rolling-back') return refusal('unchanged', 'it is being rolled back already')
    return rollingBack(state, rollout, { ending: 'rolled-back', reason, at })
  }
  if (to === undefined || stable === undefined || !previous.includes(to)) {
    const asked =
      to === undefined ? 'there is nothing to go back to' : `${shortId(to)} was not stable lately: publish it`
    return refusal('unknown-version', `${asked}; stable before: ${shown(previous)}`)
  }
  const left = rollout === undefined ? state : ended(state, rollout, rollout.ending ?? 'rolled-back', reason, at)
  const past = ended(left, { id: `${shortId(stable)}@${at}`, candidate: stable }, 'rolled-back', reason, at)
  const isBad = rollout !== undefined && rollout.ending !== 'aborted' && rollout.candidate !== to
  const bad = isBad ? [stable, rollout.candidate] : [stable]
  const next = { ...past, stable: to, previous: previous.filter((id) => id !== to && !bad.includes(id)) }
  return {
    ...changed(next, `roll back ${shortId(stable)} to ${shortId(to)}: ${reason}`),
    quarantine: new Map(bad.map((id) => [id, reason])),
  }
}
