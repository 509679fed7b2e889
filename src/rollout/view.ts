// Where a rollout stands, for people and programs: `intermix rollout status` and `GET /v1/rollout`.

import { assignedVersion } from './cohort.ts'
import { shadowOf } from './guards/flips.ts'
import type { Guard } from './guards/guard.ts'
import { type Decision, judge } from './judge.ts'
import type { Flip } from './observation.ts'
import type { Observations, Observed } from './observations.ts'
import type { RolloutStore, StateView } from './rollout-store.ts'
import { SILENT_MS, situationOf } from './situation.ts'
import type { Pace, Stage } from './stages.ts'
import { type Outcome, type Phase, phaseOf, type Rollout } from './state.ts'

export interface RolloutView {
  readonly phase: Phase
  readonly rev: number
  readonly stable: string | undefined
  /** Stable before, the last one first. */
  readonly previous: readonly string[]
  readonly rollout: RolloutFacts | undefined
  /** The last ones, the latest first; times in ISO 8601. */
  readonly ended: readonly (Omit<Outcome, 'at'> & { readonly at: string })[]
  readonly processes: ProcessCounts
  /** The node that leads; none while no rollout is under way. */
  readonly controller: string | undefined
}

export interface RolloutFacts {
  readonly id: string
  readonly candidate: string
  readonly by: string
  readonly stage: Stage
  readonly status: Rollout['status']
  readonly reason: string | undefined
  readonly begunAt: string
  readonly stageSeconds: number
  readonly isPromoted: boolean
  readonly firstNode: string | undefined
  readonly expectations: readonly string[]
  /** Namespaces that the one node begins with. */
  readonly namespaces: readonly string[]
  readonly pace: Pace
  /** Processes that are to run the candidate now, of those that are there. */
  readonly cohort: number
  readonly guards: readonly Guard[]
  /** What a controller would do now, and what it waits for. */
  readonly next: string
  readonly flips: readonly Flip[]
  readonly votes: readonly { readonly node: string; readonly reason: string }[]
}

export interface ProcessCounts {
  readonly present: number
  /** Version → processes that run it; `none` for those that run none. */
  readonly versions: Readonly<Record<string, number>>
}

/** @throws IntermixError REDIS_UNAVAILABLE while Redis is away. */
export async function rolloutView(
  store: Pick<RolloutStore, 'view'>,
  observations: Pick<Observations, 'read'>,
): Promise<RolloutView> {
  const view = await store.view()
  return viewOf(view, await observations.read())
}

function viewOf({ state, now, controller }: StateView, observed: Observed): RolloutView {
  const { rev, stable, previous, rollout, ended } = state
  const present = observed.observations.filter(({ ageMs }) => ageMs <= PRESENT_MS)
  const versions: Record<string, number> = {}
  for (const { version = 'none' } of present) versions[version] = (versions[version] ?? 0) + 1
  return {
    phase: phaseOf(state),
    rev,
    stable,
    previous,
    rollout: rollout && factsOf({ state, now, controller }, rollout, observed),
    ended: ended.map((outcome) => ({ ...outcome, at: timeOf(outcome.at) })),
    processes: { present: present.length, versions },
    controller,
  }
}

/** While nothing is under way, processes say now and then that they are there: within so long, in ms. */
export const PRESENT_MS = 30_000

type Told = Pick<StateView, 'state' | 'now' | 'controller'>

function factsOf({ state, now }: Told, rollout: Rollout, observed: Observed): RolloutFacts {
  // Whoever looks once has heard nothing for as long as that counts.
  const seen = { state, now, observed, watchedMs: SILENT_MS, illMs: new Map<string, number>(), leapMs: 0 }
  const situation = situationOf(seen, rollout)
  const { decision, guards } = judge(seen)
  return {
    id: rollout.id,
    candidate: rollout.candidate,
    by: rollout.by,
    stage: rollout.stage,
    status: rollout.status,
    reason: rollout.reason,
    begunAt: timeOf(rollout.at),
    stageSeconds: Math.floor(situation.lastedMs / 1_000),
    isPromoted: rollout.hasty,
    firstNode: rollout.first,
    expectations: rollout.expectations,
    namespaces: rollout.namespaces,
    pace: rollout.pace,
    cohort: situation.present.filter(({ node }) => assignedVersion(state, node)?.role === 'candidate').length,
    guards,
    next: nextOf(decision),
    flips: shadowOf(situation)?.flips ?? [],
    votes: situation.votes.map(({ node, reason }) => ({ node, reason })),
  }
}

function nextOf(decision: Decision): string {
  if (decision.action === 'wait') return `waits: ${decision.reason}`
  if (decision.action === 'preflight') return 'the pre-flight'
  const { event } = decision
  return 'reason' in event ? `${event.kind}: ${event.reason}` : event.kind
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}
