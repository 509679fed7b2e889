// The state of config rollout, which all processes follow: which version is stable, and how far a candidate has come.

import type { Pace, Stage } from './stages.ts'

/** What checks came to, of one or several processes. */
export interface Tally {
  readonly checks: number
  /** Checks that could not be answered by policy: handlers that failed, internal errors. */
  readonly errors: number
  /** Checks in which something could not be evaluated. */
  readonly unknowns: number
  readonly denials: number
}

/** The rates of a tally. */
export type Rate = Exclude<keyof Tally, 'checks'>

/** What the stable version came to, and by how much processes differed that all ran it: a relative standard deviation. */
export interface Baseline extends Tally {
  readonly spread: Readonly<Record<Rate | 'latency', number>>
}

/** A candidate under way. */
export interface Rollout {
  /** Of this attempt: the same content may be tried again when an operator says so. Also the salt of the cohorts. */
  readonly id: string
  readonly candidate: string
  readonly by: string
  /** When it began, in ms on the clock of Redis; `since`: when its stage or status began. */
  readonly at: number
  readonly since: number
  readonly stage: Stage
  readonly status: 'running' | 'paused' | 'rolling-back'
  /** Why it is paused or rolled back, in words. */
  readonly reason: string | undefined
  /** What it will have come to once it is rolled back. */
  readonly ending: 'rolled-back' | 'aborted' | undefined
  /** An operator has asked to leave out the shares: from `one-node` it goes to `100%`. */
  readonly hasty: boolean
  /** How often a pre-flight has begun: a controller that it killed says nothing else. */
  readonly attempts: number
  /** The one node of `shadow`, `namespaces` and `one-node`. */
  readonly first: string | undefined
  /** Processes whose score is at most that run the candidate, beside `first`, in stages that go by shares. */
  readonly threshold: number
  /** What the stable version came to so far, by stages that are over: where none is left to compare with. */
  readonly baseline: Baseline
  readonly pace: Pace
  /** What is expected to change, as the operator wrote it (`expectations.ts`). */
  readonly expectations: readonly string[]
  /** Those whose requests the one node answers by the candidate before all others; none: it answers all at once. */
  readonly namespaces: readonly string[]
}

/** How a rollout ended. */
export interface Outcome {
  readonly id: string
  readonly candidate: string
  readonly outcome: 'stable' | 'rolled-back' | 'aborted' | 'rejected' | 'superseded'
  readonly reason: string
  readonly at: number
}

export interface RolloutState {
  /** Grows by one with each transition; 0 before the first one. */
  readonly rev: number
  /** What processes run that are in no cohort; `undefined` until a first version has passed its pre-flight. */
  readonly stable: string | undefined
  /** Versions that were stable before, the last one first: what operators may go back to at once. */
  readonly previous: readonly string[]
  readonly rollout: Rollout | undefined
  /** How the last rollouts ended, the last one first. */
  readonly ended: readonly Outcome[]
}

export const NO_TALLY: Tally = { checks: 0, errors: 0, unknowns: 0, denials: 0 }

export const NO_BASELINE: Baseline = { ...NO_TALLY, spread: { errors: 0, unknowns: 0, denials: 0, latency: 0 } }

export const NO_ROLLOUT: RolloutState = { rev: 0, stable: undefined, previous: [], rollout: undefined, ended: [] }

/** Versions kept to go back to. */
export const MAX_PREVIOUS = 3
/** Outcomes kept in the state; the audit log has more. */
export const MAX_ENDED = 5

/** One word for where things stand. */
export type Phase = 'idle' | Stage | 'paused' | 'rolling-back'

/** Where things stand: the stage of a rollout, or why it has none. */
export function phaseOf({ rollout }: RolloutState): Phase {
  if (rollout === undefined) return 'idle'
  return rollout.status === 'running' ? rollout.stage : rollout.status
}

/**
 * Names what processes measure for: it changes with each stage and when a stage begins again. Figures of one key come from
 * the same time in all processes.
 */
export function stageKey({ rollout }: RolloutState): string {
  return rollout === undefined ? '' : `${rollout.id}/${rollout.stage}/${rollout.since}`
}

/** Versions that something relies on: they are kept whatever else is published. */
export function pinnedBy({ stable, previous, rollout }: RolloutState): readonly string[] {
  return [...new Set([stable, rollout?.candidate, ...previous].filter((id) => id !== undefined))]
}
