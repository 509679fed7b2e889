// A mesh that rolls a config out, in memory: processes whose checks are drawn by chance, judged each second as a controller does.

import { assignedVersion } from '../../src/rollout/cohort.ts'
import { isRefusal, type RolloutEvent } from '../../src/rollout/events.ts'
import { judge } from '../../src/rollout/judge.ts'
import { type Counters, NO_COUNTERS, type SeenObservation } from '../../src/rollout/observation.ts'
import { type Pace, type Stage, USUAL_PACE } from '../../src/rollout/stages.ts'
import { NO_ROLLOUT, type RolloutState, stageKey } from '../../src/rollout/state.ts'
import { transition } from '../../src/rollout/transition.ts'
import { idOf } from './support.ts'

/** Rates of a version at a process; `flips`: requests that the candidate alone denies. */
export interface Rates {
  readonly errors: number
  readonly unknowns: number
  readonly denials: number
}

export interface MeshOptions {
  readonly random: () => number
  readonly nodes: number
  readonly checksPerSecond: number
  readonly stable: Rates
  readonly candidate: Rates
  /** Pairs that differ in the shadow, as a share; all of them to deny. */
  readonly flips: number
  /** By how much the rates of processes, and their speeds, differ: a factor of up to 1 ± that. */
  readonly unevenness?: number
  readonly pace?: Pace
  /** Seconds between two looks. */
  readonly step?: number
}

export interface MeshResult {
  readonly state: RolloutState
  readonly stage: Stage
  readonly reason: string
  /** Requests that the candidate had judged in the last stage, by itself or beside the other. */
  readonly canaryChecks: number
  readonly seconds: number
}

interface Node {
  readonly name: string
  readonly factor: number
  readonly speed: number
  stage: string
  version: string
  counters: Counters
  pairs: number
  flips: number
}

const STABLE = idOf('stable')
const CANDIDATE = idOf('candidate')
const MAX_SECONDS = 20_000

/** A generator of random numbers by its seed (mulberry32, T. Ettinger). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Rolls one candidate out, until it is stable, rolled back or paused. */
export function rollOut(options: MeshOptions): MeshResult {
  const { random, checksPerSecond, stable, candidate, step = 1, pace = USUAL_PACE, unevenness = 0 } = options
  const nodes: Node[] = Array.from({ length: options.nodes }, (_, n) => ({
    name: `n${n}`,
    factor: 1 + (2 * random() - 1) * unevenness,
    speed: 1 + (2 * random() - 1) * unevenness,
    stage: '',
    version: STABLE,
    counters: NO_COUNTERS,
    pairs: 0,
    flips: 0,
  }))
  let state: RolloutState = { ...NO_ROLLOUT, stable: STABLE }
  let now = 0
  let stage: Stage = 'preflight'
  let canaryChecks = 0
  const by = 'sim'
  const apply = (event: RolloutEvent) => {
    const change = transition(state, event)
    if (isRefusal(change)) throw new Error(change.message)
    state = change.state
  }
  const rollout = { id: `${random()}`, pace, expectations: [], again: false, quarantined: undefined }
  apply({ kind: 'publish', version: CANDIDATE, at: now, by, ...rollout })
  apply({ kind: 'begin-preflight', at: now, by })
  apply({
    kind: 'pass-preflight',
    at: now,
    by,
    first: nodes[Math.floor(random() * nodes.length)]?.name,
    isServed: true,
  })
  while (state.rollout !== undefined && state.rollout.status === 'running' && now < MAX_SECONDS * 1_000) {
    now += step * 1_000
    stage = state.rollout.stage
    const observations = nodes.map((node) => {
      live(node, state, { options, checks: binomial(2 * checksPerSecond * step, 0.5, random), stable, candidate })
      return said(node, state)
    })
    canaryChecks = nodes.reduce(
      (sum, { version, counters, pairs }) => sum + pairs + (version === CANDIDATE ? counters.checks : 0),
      0,
    )
    const seen = {
      state,
      now,
      observed: { observations, died: [], votes: [] },
      watchedMs: now,
      illMs: new Map<string, number>(),
      leapMs: 0,
    }
    const { decision } = judge(seen)
    if (decision.action === 'apply') apply({ ...decision.event, at: now, by })
  }
  return { state, stage, reason: state.rollout?.reason ?? '', canaryChecks, seconds: now / 1_000 }
}

interface Life {
  readonly options: MeshOptions
  readonly checks: number
  readonly stable: Rates
  readonly candidate: Rates
}

function live(node: Node, state: RolloutState, { options, checks, stable, candidate }: Life): void {
  const assigned = assignedVersion(state, node.name)
  const key = stageKey(state)
  if (assigned !== undefined && (node.stage !== key || node.version !== assigned.version)) {
    Object.assign(node, { stage: key, version: assigned.version, counters: NO_COUNTERS, pairs: 0, flips: 0 })
  }
  const rates = node.version === CANDIDATE ? candidate : stable
  const drawn = (rate: number) => binomial(checks, Math.min(1, rate * node.factor), options.random)
  const { counters } = node
  node.counters = {
    ...counters,
    checks: counters.checks + checks,
    errors: counters.errors + drawn(rates.errors),
    unknowns: counters.unknowns + drawn(rates.unknowns),
    denials: counters.denials + drawn(rates.denials),
    medians: [...counters.medians, (2_000 * (1 + 0.2 * options.random())) / node.speed].slice(-60),
    // Now and then a window has a pause of the machine in it.
    tails: [...counters.tails, ((options.random() < 0.1 ? 30_000 : 8_000) * (1 + options.random())) / node.speed].slice(
      -60,
    ),
  }
  if (assigned?.role !== 'shadow') return
  node.pairs += checks
  node.flips += binomial(checks, options.flips, options.random)
}

function said({ name, stage, version, counters, pairs, flips }: Node, state: RolloutState): SeenObservation {
  const kinds = flips === 0 ? [] : [{ from: 'allow', to: 'deny', rule: 'r.ns', count: flips, examples: [] }]
  const isShadow = state.rollout?.stage === 'shadow' && state.rollout.first === name
  return {
    node: name,
    ageMs: 0,
    start: name,
    kind: 'node',
    version,
    stage,
    rev: state.rev,
    isHealthy: true,
    isLeaving: false,
    counters,
    shadow: isShadow ? { pairs, incomparable: 0, flips: kinds } : undefined,
  }
}

/** Hits among trials: by the distances between hits where they are rare, else one by one. */
function binomial(trials: number, rate: number, random: () => number): number {
  if (rate <= 0) return 0
  let hits = 0
  if (rate >= 0.2) {
    for (let at = 0; at < trials; at++) if (random() < rate) hits++
    return hits
  }
  const step = Math.log(1 - rate)
  for (let at = Math.log(random()) / step; at < trials; at += 1 + Math.floor(Math.log(random()) / step)) hits++
  return hits
}
