// The state machine of config rollout, as a pure function. Who may write its result is decided in Redis (`rollout-store.ts`).

import type { Change, ControllerEvent, Publish, Refusal, RolloutEvent } from './events.ts'
import { isOperators, operate } from './operate.ts'
import { changed, ended, refusal, rejected, restarted, rollingBack, settled } from './outcomes.ts'
import { isOfOneNode, leastMs, SHARES, stageAfter } from './stages.ts'
import { type Baseline, NO_BASELINE, type Rollout, type RolloutState } from './state.ts'
import { shortId } from './version.ts'

/** Pre-flights of one attempt: the third that kills its controller is the last one. */
const MAX_ATTEMPTS = 3

type Result = Change<RolloutState> | Refusal

/**
 * What becomes of a state by an event. No event but an operator's leads past a stage, and none past the pre-flight, the
 * shadow and the one node: where there is no stable version yet, a first one is stable after its pre-flight, as there is
 * nothing that it could be compared with, nor a process that serves.
 */
export function transition(state: RolloutState, event: RolloutEvent): Result {
  if (event.kind === 'publish') return publish(state, event)
  if (isOperators(event)) return operate(state, event)
  const { rollout } = state
  if (rollout === undefined) return refusal('not-now', 'no rollout is under way')
  if (event.kind === 'fail') return fail(state, rollout, event.reason, event.at)
  if (event.kind === 'finish-rollback') return finish(state, rollout, event.at)
  if (rollout.status !== 'running') return refusal('not-now', `the rollout is ${rollout.status}`)
  if (event.kind === 'advance') return advance(state, rollout, event)
  if (event.kind === 'choose-first') return chooseFirst(state, rollout, event.first, event.at)
  if (event.kind === 'begin-again')
    return changed(
      { ...state, rollout: restarted(rollout, event.at) },
      `${rollout.stage} begins again: ${event.reason}`,
    )
  if (event.kind === 'choose-cohort') return chooseCohort(state, rollout, event)
  return preflight(state, rollout, event)
}

function publish(state: RolloutState, event: Publish): Result {
  const { version, at, by, quarantined, again } = event
  const { rollout: old, stable } = state
  if (version === stable)
    return refusal(
      'unchanged',
      `${shortId(version)} is stable${old === undefined ? ' already' : '; abort the rollout'}`,
    )
  if (old?.candidate === version && old.status !== 'rolling-back')
    return refusal('unchanged', `${shortId(version)} is being rolled out already`)
  if (quarantined !== undefined && !again)
    return refusal('quarantined', `${shortId(version)} is in quarantine: ${quarantined}`)
  const rollout: Rollout = {
    id: event.id,
    candidate: version,
    by,
    at,
    since: at,
    stage: 'preflight',
    status: 'running',
    reason: undefined,
    ending: undefined,
    hasty: false,
    attempts: 0,
    first: undefined,
    threshold: 0,
    baseline: NO_BASELINE,
    pace: event.pace,
    expectations: event.expectations,
    namespaces: event.namespaces ?? [],
  }
  const cleared =
    old === undefined ? state : ended(state, old, old.ending ?? 'superseded', `${shortId(version)} was published`, at)
  const next = changed({ ...cleared, rollout }, `publish ${shortId(version)}`)
  return { ...next, release: version }
}

function preflight(
  state: RolloutState,
  rollout: Rollout,
  event: Extract<ControllerEvent, { kind: `${string}-preflight` }>,
): Result {
  if (rollout.stage !== 'preflight') return refusal('not-now', `the pre-flight is over: it is at ${rollout.stage}`)
  if (event.kind === 'fail-preflight') return rejected(state, rollout, event.reason, event.at)
  if (event.kind === 'begin-preflight') {
    // Its longest wait counts from here: a version may be published long before there is a node that could try it.
    const next = restarted({ ...rollout, attempts: rollout.attempts + 1 }, event.at)
    if (rollout.attempts < MAX_ATTEMPTS) return changed({ ...state, rollout: next }, 'begin the pre-flight')
    return rejected(state, rollout, `${MAX_ATTEMPTS} pre-flights began and none came to an end`, event.at)
  }
  if (rollout.attempts === 0) return refusal('not-now', 'no pre-flight has begun')
  if (state.stable === undefined) {
    if (event.isServed)
      return refusal(
        'not-now',
        'Redis knows no stable version, and processes serve by others: publish first what they run',
      )
    return settled(state, rollout, 'it is the first version', event.at)
  }
  const { first } = event
  if (first === undefined) return refusal('not-now', 'no node is there that could evaluate it')
  const next = restarted({ ...rollout, stage: 'shadow', first }, event.at)
  return changed({ ...state, rollout: next }, `the pre-flight passed: shadow at ${first}`)
}

function advance(state: RolloutState, rollout: Rollout, event: Extract<ControllerEvent, { kind: 'advance' }>): Result {
  const { from, at, reason } = event
  if (rollout.stage !== from) return refusal('not-now', `it is at ${rollout.stage}, not at ${from}`)
  if (from === 'preflight') return refusal('not-now', 'the pre-flight has a result of its own')
  const least = leastMs(from, rollout.pace)
  if (at - rollout.since < least)
    return refusal('too-early', `${from} takes ${least} ms at least: ${at - rollout.since} are over`)
  const stage = from === 'one-node' && rollout.hasty ? '100%' : stageAfter(from, rollout.namespaces)
  if (stage === undefined) return { ...settled(state, rollout, reason, at), leastMs: least }
  const threshold = Math.max(rollout.threshold, event.threshold)
  const next = { ...rollout, stage, threshold, baseline: added(rollout.baseline, event.seen) }
  return { ...changed({ ...state, rollout: restarted(next, at) }, `${from} → ${stage}: ${reason}`), leastMs: least }
}

function chooseFirst(state: RolloutState, rollout: Rollout, first: string, at: number): Result {
  if (!isOfOneNode(rollout.stage))
    return refusal('not-now', `it is at ${rollout.stage}, where there is more than one node`)
  if (rollout.first === first) return refusal('unchanged', `${first} is the one node already`)
  const next = restarted({ ...rollout, first }, at)
  return changed(
    { ...state, rollout: next },
    `${rollout.first ?? 'nobody'} has left: ${rollout.stage} begins again at ${first}`,
  )
}

/** Who runs the candidate runs it on: the threshold never falls, and no stage is left by it. */
function chooseCohort(
  state: RolloutState,
  rollout: Rollout,
  { from, first, threshold, at }: Extract<ControllerEvent, { kind: 'choose-cohort' }>,
): Result {
  const { stage } = rollout
  if (stage !== from || SHARES[stage] === undefined) return refusal('not-now', `it is at ${stage}, not in a share`)
  if (rollout.first === first) return refusal('unchanged', `${first} runs it already`)
  const next = restarted({ ...rollout, first, threshold: Math.max(rollout.threshold, threshold) }, at)
  return changed(
    { ...state, rollout: next },
    `no node of the cohort is left: ${stage} begins again with ${first} and its share of those that are there`,
  )
}

/** A guard has fired, which holds while the rollout is paused, too. */
function fail(state: RolloutState, rollout: Rollout, reason: string, at: number): Result {
  if (rollout.status === 'rolling-back') return refusal('unchanged', 'it is being rolled back already')
  if (rollout.stage === 'preflight') return rejected(state, rollout, reason, at)
  return rollingBack(state, rollout, { ending: 'rolled-back', reason, at })
}

function finish(state: RolloutState, rollout: Rollout, at: number): Result {
  if (rollout.status !== 'rolling-back') return refusal('not-now', `the rollout is ${rollout.status}`)
  const ending = rollout.ending ?? 'rolled-back'
  const reason = rollout.reason ?? ''
  return changed(ended(state, rollout, ending, reason, at), `${ending} ${shortId(rollout.candidate)}: ${reason}`)
}

/** Figures add up; of how processes differed, the most is what may be. */
function added(one: Baseline, other: Baseline): Baseline {
  return {
    checks: one.checks + other.checks,
    errors: one.errors + other.errors,
    unknowns: one.unknowns + other.unknowns,
    denials: one.denials + other.denials,
    spread: {
      errors: Math.max(one.spread.errors, other.spread.errors),
      unknowns: Math.max(one.spread.unknowns, other.spread.unknowns),
      denials: Math.max(one.spread.denials, other.spread.denials),
      latency: Math.max(one.spread.latency, other.spread.latency),
    },
  }
}
