// From what processes say to what becomes of a candidate: a pure function, so that all who judge agree.

import { thresholdFor } from './cohort.ts'
import type { ControllerEvent, OperatorEvent } from './events.ts'
import { crashGuard } from './guards/crashes.ts'
import { directionGuard, flipGuard } from './guards/flips.ts'
import type { Guard } from './guards/guard.ts'
import { latencyGuard, slowestGuard } from './guards/latency.ts'
import { healthGuard, presenceGuard } from './guards/presence.ts'
import { baselineOf, rateGuards } from './guards/rates.ts'
import { type Seen, SILENT_MS, type Situation, situationOf } from './situation.ts'
import { leastMs, servesCandidate, stageAfter } from './stages.ts'
import type { Rollout } from './state.ts'
import { successionOf } from './succession.ts'

type WithoutWho<E> = E extends unknown ? Omit<E, 'at' | 'by'> : never

/** What is to be done now. `preflight`: the candidate has to be tried. */
export type Decision =
  | { readonly action: 'wait'; readonly reason: string }
  | { readonly action: 'preflight' }
  | {
      readonly action: 'apply'
      readonly event: WithoutWho<
        Exclude<ControllerEvent, { kind: `${string}-preflight` }> | Extract<OperatorEvent, { kind: 'pause' }>
      >
    }

export interface Judgement {
  readonly decision: Decision
  readonly guards: readonly Guard[]
}

/** By so much clocks differ that are only not the same, in ms: Redis has failed over to another machine where it is more. */
const SKEW_MS = 10_000

/** A pre-flight takes a minute of the processor at most; so long on a machine that has other things to do. */
const PREFLIGHT_MS = 5 * 60_000

/** After that long a rollback is over, although somebody may not have been heard. */
const ROLLBACK_MS = 60_000

/**
 * Judges the rollout. A guard that fails rolls it back, while it is paused, too; it advances only where all guards pass. What
 * an operator has promoted waits for no conclusion of tests, where nothing speaks against it.
 */
export function judge(seen: Seen): Judgement {
  const { rollout } = seen.state
  if (rollout === undefined) return { decision: { action: 'wait', reason: 'no rollout is under way' }, guards: [] }
  const situation = situationOf(seen, rollout)
  if (rollout.status === 'rolling-back') return { decision: rollback(situation), guards: [] }
  const guards = guardsOf(situation)
  const failed = guards.filter(({ verdict }) => verdict === 'fail')
  if (failed.length > 0) return { decision: apply({ kind: 'fail', reason: textOf(failed) }), guards }
  if (rollout.status === 'paused')
    return { decision: { action: 'wait', reason: `paused: ${rollout.reason ?? ''}` }, guards }
  const leap = leapOf(seen, rollout)
  if (leap !== undefined) return { decision: apply({ kind: 'begin-again', reason: leap }), guards }
  if (rollout.stage === 'preflight') return { decision: preflight(situation), guards }
  return proceed(situation, rollout, guards)
}

/** A stage must neither wait until a clock that is behind has caught up, nor be shorter for one that is ahead. */
function leapOf({ now, leapMs }: Seen, { since }: Rollout): string | undefined {
  if (since - now > SKEW_MS) return `by the clock of Redis it begins in ${Math.ceil((since - now) / 1_000)} s`
  return leapMs > SKEW_MS ? `the clock of Redis has leapt ahead by ${Math.ceil(leapMs / 1_000)} s` : undefined
}

function guardsOf(situation: Situation): readonly Guard[] {
  const { stage } = situation.rollout
  const crashes = crashGuard(situation)
  if (stage === 'preflight') return [crashes]
  const presence = [crashes, presenceGuard(situation)]
  if (!servesCandidate(stage)) return [...presence, flipGuard(situation)]
  return [...presence, healthGuard(situation), ...rateGuards(situation)]
}

/** One that has begun, and passed perhaps, and goes no further, is paused in the end: no node may be there that could go on. */
function preflight({ rollout: { attempts, pace }, lastedMs }: Situation): Decision {
  if (attempts === 0 || lastedMs < Math.max(pace.maxWaitMs, PREFLIGHT_MS)) return { action: 'preflight' }
  return apply({ kind: 'pause', reason: 'the pre-flight has led to nothing, as the log of the controller says' })
}

function proceed(situation: Situation, rollout: Rollout, guards: readonly Guard[]): Judgement {
  const { stage, pace } = rollout
  const wait = (reason: string, all = guards): Judgement => {
    if (situation.lastedMs < Math.max(pace.maxWaitMs, leastMs(stage, pace)))
      return { decision: { action: 'wait', reason }, guards: all }
    return { decision: apply({ kind: 'pause', reason: `inconclusive: ${reason}` }), guards: all }
  }
  const succession = successionOf(situation)
  if (succession !== undefined) return { decision: apply(succession), guards }
  const least = leastMs(stage, pace)
  const open = guards.filter(({ verdict }) => verdict === 'open')
  // Who runs it is known for certain, whoever is in a hurry.
  const blocking = rollout.hasty ? open.filter(({ name }) => name === 'cohort' || name === 'health') : open
  if (situation.lastedMs < least)
    return wait(`${stage} takes ${Math.ceil((least - situation.lastedMs) / 1_000)} s more`)
  if (blocking.length > 0) return wait(textOf(blocking))
  const last = servesCandidate(stage) ? [latencyGuard(situation), slowestGuard(situation)] : [directionGuard(situation)]
  const all = [...guards, ...last]
  const failed = last.filter(({ verdict }) => verdict === 'fail')
  if (failed.length > 0) return { decision: apply({ kind: 'fail', reason: textOf(failed) }), guards: all }
  const unknown = last.filter(({ verdict }) => verdict === 'open')
  if (unknown.length > 0 && !rollout.hasty) return wait(textOf(unknown), all)
  const deafMs = SILENT_MS - situation.heard.watchedMs
  // Behind an outage a few are heard first: who died meanwhile, and whose share the next stage is, shows after that.
  if (deafMs > 0)
    return {
      decision: { action: 'wait', reason: `hears processes for ${Math.ceil(deafMs / 1_000)} s more` },
      guards: all,
    }
  return { decision: apply(advance(situation, rollout, all)), guards: all }
}

function advance(situation: Situation, rollout: Rollout, guards: readonly Guard[]) {
  const next = stageAfter(rollout.stage, rollout.namespaces)
  const processes = situation.present.filter(({ isLeaving }) => !isLeaving).map(({ node }) => node)
  return {
    kind: 'advance',
    from: rollout.stage,
    threshold: next === undefined ? 1 : thresholdFor(rollout, next, processes),
    seen: baselineOf(situation),
    reason: textOf(guards),
  } as const
}

function rollback({ rollout, present, lastedMs }: Situation): Decision {
  const running = present.filter(({ version, isLeaving }) => version === rollout.candidate && !isLeaving)
  if (running.length === 0 || lastedMs >= ROLLBACK_MS) return apply({ kind: 'finish-rollback' })
  return { action: 'wait', reason: `${running.length} processes have not gone back yet` }
}

function apply(event: Extract<Decision, { action: 'apply' }>['event']): Decision {
  return { action: 'apply', event }
}

function textOf(guards: readonly Guard[]): string {
  return guards.map(({ name, words }) => `${name}: ${words}`).join('; ')
}
