// What a process says of itself while a rollout is under way: a controller judges by these alone.

import { isJsonObject } from '../kernel/json-object.ts'
import { parseJsonObject } from '../kernel/parse-json.ts'
import { NO_TALLY, type Tally } from './state.ts'

/** Checks that a process has answered in a stage by the version that it is to run. */
export interface Counters extends Tally {
  /** Denials by the rule that denied, as `name.namespace`; the most frequent ones. */
  readonly denialsBy: Readonly<Record<string, number>>
  /** Medians of the stage's windows of ten seconds, in microseconds; the latest of them. */
  readonly medians: readonly number[]
  /** The times below which 99 of 100 checks were, of windows with checks enough to say so; the latest of them. */
  readonly tails: readonly number[]
}

/** Requests whose verdict by the candidate was another one. */
export interface Flip {
  /** `allow`, `deny` or `unknown`, by the stable version and by the candidate. */
  readonly from: string
  readonly to: string
  /** The rule that made the difference, as `name.namespace`; empty where none can be named. */
  readonly rule: string
  readonly count: number
  /** Some of the requests, masked. */
  readonly examples: readonly string[]
}

/** What the shadow found: requests that both versions judged. */
export interface ShadowCounts {
  readonly pairs: number
  /** Requests that could not be compared, as a handler would have been called. */
  readonly incomparable: number
  readonly flips: readonly Flip[]
}

/** What one process says. It counts from zero in each stage, as `stageKey` names them, and for each version. */
export interface Observation {
  /** Names this start of the process: another one behind it, without a word of leaving, means that it has died. */
  readonly start: string
  readonly kind: 'node' | 'worker'
  /** What it answers by now. */
  readonly version: string | undefined
  /** The `stageKey` of the state that it follows; figures are of that stage. */
  readonly stage: string
  readonly rev: number
  /** Whether it can serve. */
  readonly isHealthy: boolean
  /** It ends in good order: that it falls silent means nothing. */
  readonly isLeaving: boolean
  readonly counters: Counters
  readonly shadow: ShadowCounts | undefined
}

/** An observation as Redis has it. */
export interface SeenObservation extends Observation {
  readonly node: string
  /** How long ago it was written, in ms. */
  readonly ageMs: number
}

/** A process holds a version for bad: it could not be loaded there, or the process did not outlive it. */
export interface Vote {
  readonly node: string
  readonly version: string
  /** Of the rollout in which it was so; `undefined` where that is not known, empty outside of one. */
  readonly rollout?: string | undefined
  readonly reason: string
}

export const NO_COUNTERS: Counters = { ...NO_TALLY, denialsBy: {}, medians: [], tails: [] }

/** Bounds of what is read and written; more is left out. */
export const OBSERVATION_BOUNDS = {
  rules: 50,
  flips: 50,
  examples: 3,
  exampleLength: 400,
  medians: 60,
  bytes: 32_768,
} as const

/** Reads what a process of this or another release has written; `undefined` where it is of no use. */
export function readObservation(node: string, ageMs: number, said: string): SeenObservation | undefined {
  const json = parseJsonObject(said)
  if (typeof json?.['stage'] !== 'string') return undefined
  const { start, kind, version, stage, rev, isHealthy, isLeaving, counters, shadow } = json
  return {
    node,
    ageMs,
    start: text(start),
    kind: kind === 'worker' ? 'worker' : 'node',
    version: typeof version === 'string' ? version : undefined,
    stage,
    rev: count(rev),
    isHealthy: isHealthy === true,
    isLeaving: isLeaving === true,
    counters: readCounters(counters),
    shadow: readShadow(shadow),
  }
}

function readCounters(json: unknown): Counters {
  if (!isJsonObject(json)) return NO_COUNTERS
  const denialsBy = isJsonObject(json['denialsBy']) ? Object.entries(json['denialsBy']) : []
  return {
    checks: count(json['checks']),
    errors: count(json['errors']),
    unknowns: count(json['unknowns']),
    denials: count(json['denials']),
    denialsBy: Object.fromEntries(
      denialsBy.slice(0, OBSERVATION_BOUNDS.rules).map(([rule, number]) => [rule, count(number)]),
    ),
    medians: times(json['medians']),
    tails: times(json['tails']),
  }
}

function readShadow(json: unknown): ShadowCounts | undefined {
  if (!isJsonObject(json)) return undefined
  const flips = list(json['flips']).filter(isJsonObject)
  return {
    pairs: count(json['pairs']),
    incomparable: count(json['incomparable']),
    flips: flips.slice(0, OBSERVATION_BOUNDS.flips).map((flip) => ({
      from: text(flip['from']),
      to: text(flip['to']),
      rule: text(flip['rule']),
      count: count(flip['count']),
      examples: list(flip['examples']).map(text).slice(0, OBSERVATION_BOUNDS.examples),
    })),
  }
}

function count(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : 0
}

function times(value: unknown): readonly number[] {
  return list(value).filter((each): each is number => Number.isFinite(each))
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}
