// The stages that a candidate goes through, in their order, and how long each takes at least.

/**
 * `preflight`: nobody serves by it, it is tried beside one node. `shadow`: one node evaluates it beside the
 * stable version, which answers. `namespaces`: that node answers requests of some namespaces by it, where an operator named
 * any. `one-node`: the same node answers all by it. Then shares of all processes; at `100%` it bakes.
 */
export const STAGES = ['preflight', 'shadow', 'namespaces', 'one-node', '5%', '25%', '50%', '100%'] as const
export type Stage = (typeof STAGES)[number]

/** Share of the processes that run the candidate, of stages that go by shares. */
export const SHARES: Readonly<Partial<Record<Stage, number>>> = { '5%': 0.05, '25%': 0.25, '50%': 0.5 }

/** What a rollout takes its time by; fixed when it begins, so that all controllers go by the same. Times in ms. */
export interface Pace {
  /** Least time in `shadow`. */
  readonly shadowMs: number
  /** Least time in `one-node` and in each share. */
  readonly stageMs: number
  /** Least time at `100%`. */
  readonly bakeMs: number
  /** A stage that has come to no conclusion after that long is paused. */
  readonly maxWaitMs: number
  /** Requests that both versions must have judged in `shadow`. */
  readonly pairs: number
  /** Checks that the candidate must have answered in each later stage. */
  readonly checks: number
}

export const USUAL_PACE: Pace = {
  shadowMs: 2 * 60_000,
  stageMs: 2 * 60_000,
  bakeMs: 10 * 60_000,
  maxWaitMs: 60 * 60_000,
  pairs: 1_000,
  checks: 500,
}

/** The next stage; `undefined` behind the last one, where a candidate becomes stable. */
export function stageAfter(stage: Stage, namespaces: readonly string[]): Stage | undefined {
  const next = STAGES[STAGES.indexOf(stage) + 1]
  return next === 'namespaces' && namespaces.length === 0 ? 'one-node' : next
}

/** Whether one node alone has to do with the candidate in this stage, and none before it. */
export function isOfOneNode(stage: Stage): boolean {
  return stage === 'shadow' || stage === 'namespaces' || stage === 'one-node'
}

/** Least time in a stage, in ms. The pre-flight takes as long as it takes. */
export function leastMs(stage: Stage, pace: Pace): number {
  if (stage === 'preflight') return 0
  if (stage === 'shadow') return pace.shadowMs
  return stage === '100%' ? pace.bakeMs : pace.stageMs
}

/** Whether some process answers requests by the candidate in this stage. */
export function servesCandidate(stage: Stage): boolean {
  return stage !== 'preflight' && stage !== 'shadow'
}
