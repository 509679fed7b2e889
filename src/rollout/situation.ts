// Who is who among the processes that have spoken: in the cohort or not, heard now or silent.

import { runsCandidate } from './cohort.ts'
import { type Expectation, readExpectations } from './expectations.ts'
import type { SeenObservation, Vote } from './observation.ts'
import type { Observed } from './observations.ts'
import { type Rollout, type RolloutState, stageKey } from './state.ts'

/** Who has not spoken for that long is not there. */
const FRESH_MS = 10_000
/** Who ran the candidate and is silent for that long, without a word of leaving, may have died of it. */
export const SILENT_MS = 15_000
/** So long it takes until a process has learnt of a stage: what it said last before that was said of the one before. */
const LEARN_MS = 2_000

export interface Situation {
  readonly state: RolloutState
  readonly rollout: Rollout
  /** For how long the stage has lasted, in ms. */
  readonly lastedMs: number
  readonly expectations: readonly Expectation[]
  /** Nodes that could be the one node: there, able to serve, and staying. */
  readonly nodes: readonly SeenObservation[]
  /** All processes that are there. */
  readonly present: readonly SeenObservation[]
  /** Those of them that are to run the candidate (in `shadow`: to evaluate it) and stay. */
  readonly cohort: readonly SeenObservation[]
  /** What was measured in this stage, by the candidate and by the stable version. */
  readonly byCandidate: readonly SeenObservation[]
  readonly byStable: readonly SeenObservation[]
  /**
   * Who ran the candidate, or was about to, or ran the stable version in this rollout, and fell silent, or had to be started
   * again, without a word of leaving.
   */
  readonly goneCandidates: readonly SeenObservation[]
  readonly goneStable: readonly SeenObservation[]
  /** Against the candidate. */
  readonly votes: readonly Vote[]
  readonly illMs: ReadonlyMap<string, number>
  /** All that was said lately, and for how long it has been heard. */
  readonly heard: Observed & { readonly watchedMs: number }
}

export interface Seen {
  readonly state: RolloutState
  /** By the clock of Redis, in ms. */
  readonly now: number
  readonly observed: Observed
  /**
   * For how long whoever judges has heard the processes without a gap, in ms: while Redis is away nobody is heard, and that
   * is nobody's fault.
   */
  readonly watchedMs: number
  /** For how long processes have been seen that could not serve, in ms. */
  readonly illMs: ReadonlyMap<string, number>
  /** By how much the clock of Redis has gone ahead of that of whoever judges, in this stage; where that is not known, 0. */
  readonly leapMs: number
}

export function situationOf({ state, now, observed, watchedMs, illMs }: Seen, rollout: Rollout): Situation {
  const { observations, died, votes } = observed
  const key = stageKey(state)
  const isInShadow = rollout.stage === 'shadow'
  const isOfCohort = ({ node }: SeenObservation) => (isInShadow ? node === rollout.first : runsCandidate(rollout, node))
  const present = observations.filter(({ ageMs }) => ageMs <= FRESH_MS)
  const staying = present.filter(({ isLeaving }) => !isLeaving)
  const isOfRollout = ({ stage }: SeenObservation) => stage.startsWith(`${rollout.id}/`)
  const silent = observations.filter(
    (one) => isOfRollout(one) && !one.isLeaving && Math.min(one.ageMs, watchedMs) > SILENT_MS,
  )
  // That a process has died is certain where it was started again: nobody has to wait for it.
  const gone = [...silent, ...died.filter(isOfRollout)]
  const lastedMs = Math.max(0, now - rollout.since)
  // Who dies while it takes the candidate into use has only ever spoken of the stable version.
  const isCandidates = (one: SeenObservation) =>
    one.version === rollout.candidate || (isOfCohort(one) && one.ageMs <= lastedMs + LEARN_MS)
  return {
    state,
    rollout,
    lastedMs,
    expectations: readExpectations(rollout.expectations),
    nodes: staying.filter(({ kind, isHealthy }) => kind === 'node' && isHealthy),
    present,
    cohort: staying.filter(isOfCohort),
    byCandidate: observations.filter(({ stage, version }) => stage === key && version === rollout.candidate),
    byStable: observations.filter(({ stage, version }) => stage === key && version === state.stable),
    goneCandidates: gone.filter(isCandidates),
    goneStable: gone.filter((one) => !isCandidates(one) && one.version === state.stable),
    votes: votes.filter((vote) => vote.version === rollout.candidate && isOf(vote, rollout)),
    illMs,
    heard: { ...observed, watchedMs },
  }
}

/** A vote from another attempt to roll the same content out was told too late: that one is over. */
function isOf({ rollout: of = '' }: Vote, { id }: Rollout): boolean {
  return of === '' || of === id
}
