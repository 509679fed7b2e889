// Whether processes that run the candidate fail, doubt or deny more often than those that run the stable version at the same
// time, or deny less often.

import { comparedDenials, expectsUnknowns } from '../expectations.ts'
import type { SeenObservation } from '../observation.ts'
import type { Situation } from '../situation.ts'
import { type Baseline, NO_TALLY, type Rate, type Tally } from '../state.ts'
import { wilson } from '../statistics/normal.ts'
import { latencySpread } from './latency.ts'
import { sprt } from '../statistics/sprt.ts'
import { alphaOf, BETA, type Guard, percent, SERVING_TESTS, shown } from './guard.ts'

/** What was seen of one rate. */
interface Part {
  readonly hits: number
  readonly checks: number
}

/** Rates below are as good as none. */
const FLOOR = 0.0005
/** Harm is half as much again, and the better part of a point. */
const HARM_FACTOR = 1.5
const HARM_POINTS = 0.0085
/** Denials that are rare cannot be missed; of frequent ones, half must not get lost. */
const FREQUENT = 0.02
const LOST = 0.5
/** Standard deviations that the stable rate is given the benefit of. */
const BENEFIT = 2
/** And of those by which processes differ that all run the stable version: they are few, and each has callers of its own. */
const SPREAD_BENEFIT = 3
/** Standard deviations of a variance (of normal values) beyond which it is more than chance. */
const CERTAIN = 2.5
/** Fewer checks by the stable version say nothing of it. */
const LEAST_STABLE = 200
/** Processes of which it can be said how they differ, with so many checks each. */
const LEAST_PROCESSES = 3
const LEAST_CHECKS = 50

/** The guards of all rates. */
export function rateGuards(situation: Situation): readonly Guard[] {
  const { expectations } = situation
  const isDenialExpected = expectations.some(
    ({ rule, outcome, share }) => rule === '*' && outcome === 'deny' && share >= 1,
  )
  return [
    moreGuard(situation, 'errors'),
    ...(expectsUnknowns(expectations) ? [] : [moreGuard(situation, 'unknowns')]),
    ...(isDenialExpected ? [] : [moreGuard(situation, 'denials'), fewerGuard(situation)]),
  ]
}

/** What the stable version came to in this stage: the baseline of later ones. */
export function baselineOf(situation: Situation): Baseline {
  const spread = (rate: Rate) => spreadOf(situation, rate)
  return {
    ...tallyOf(situation, situation.byStable),
    spread: {
      errors: spread('errors'),
      unknowns: spread('unknowns'),
      denials: spread('denials'),
      latency: latencySpread(situation),
    },
  }
}

function tallyOf({ expectations }: Situation, observations: readonly SeenObservation[]): Tally {
  return observations.reduce<Tally>((sum, { counters }) => {
    return {
      checks: sum.checks + counters.checks,
      errors: sum.errors + counters.errors,
      unknowns: sum.unknowns + counters.unknowns,
      denials: sum.denials + comparedDenials(counters, expectations),
    }
  }, NO_TALLY)
}

function moreGuard(situation: Situation, rate: Rate): Guard {
  const seen = partsOf(situation, rate)
  const { candidate, stable, usual } = seen
  const harmless = Math.min(0.99, Math.max(FLOOR, wilson(stable.hits, stable.checks, BENEFIT).high, usual.high))
  const harmful = Math.min(0.995, HARM_FACTOR * harmless + HARM_POINTS)
  return conclude(rate, seen, { hits: candidate.hits, harmless, harmful })
}

/** A config that lets pass what was denied is poison, too. */
function fewerGuard(situation: Situation): Guard {
  const seen = partsOf(situation, 'denials')
  const { candidate, stable, usual } = seen
  const harmless = Math.min(wilson(stable.hits, stable.checks, BENEFIT).low, usual.low)
  if (stable.checks >= LEAST_STABLE && harmless < FREQUENT)
    return { name: 'fewer denials', verdict: 'pass', words: `denials are rare: ${textOf(stable)}` }
  const bounded = Math.min(0.995, Math.max(FREQUENT, harmless))
  return conclude('fewer denials', seen, { hits: candidate.hits, harmless: bounded, harmful: bounded * LOST })
}

function conclude(
  name: string,
  { candidate, stable, least }: ReturnType<typeof partsOf>,
  { hits, harmless, harmful }: { hits: number; harmless: number; harmful: number },
): Guard {
  const words = `${textOf(candidate)}, stable: ${textOf(stable)}`
  if (stable.checks < LEAST_STABLE) return { name, verdict: 'open', words: `${words}: too few to compare with` }
  const verdict = sprt({
    hits,
    trials: candidate.checks,
    harmless,
    harmful,
    alpha: alphaOf(SERVING_TESTS),
    beta: BETA,
  })
  if (verdict === 'harmful') return { name, verdict: 'fail', words: `${words}; ${percent(harmless)} would be harmless` }
  if (candidate.checks < least) return { name, verdict: 'open', words: `${words}: ${shown(least)} are needed` }
  return { name, verdict: verdict === 'harmless' ? 'pass' : 'open', words }
}

function partsOf(situation: Situation, rate: Rate) {
  const { rollout, byCandidate, byStable } = situation
  const part = (tally: Tally): Part => ({ hits: tally[rate], checks: tally.checks })
  const candidate = part(tallyOf(situation, byCandidate))
  const now = part(tallyOf(situation, byStable))
  const before = part(rollout.baseline)
  // The same time counts, where as much was seen of it; else what was seen before is better than nothing.
  const isEnough = now.checks >= Math.max(LEAST_STABLE, candidate.checks)
  const stable = isEnough ? now : { hits: now.hits + before.hits, checks: now.checks + before.checks }
  const mean = stable.hits / Math.max(1, stable.checks)
  const spread = SPREAD_BENEFIT * Math.max(rollout.baseline.spread[rate], spreadOf(situation, rate))
  return {
    candidate,
    stable,
    usual: { low: mean * (1 - spread), high: mean * (1 + spread) },
    least: rollout.pace.checks,
  }
}

/** By how much processes differ that all run the stable version, beyond what chance makes of it: relative to their mean. */
function spreadOf(situation: Situation, rate: Rate): number {
  const rates = situation.byStable
    .filter(({ counters }) => counters.checks >= LEAST_CHECKS)
    .map((one) => tallyOf(situation, [one]))
    .map((tally) => ({ share: tally[rate] / tally.checks, checks: tally.checks }))
  if (rates.length < LEAST_PROCESSES) return 0
  const mean = rates.reduce((sum, { share }) => sum + share, 0) / rates.length
  if (mean === 0) return 0
  const variance = rates.reduce((sum, { share }) => sum + (share - mean) ** 2, 0) / (rates.length - 1)
  const chance = rates.reduce((sum, { checks }) => sum + (mean * (1 - mean)) / checks, 0) / rates.length
  const isChance = variance < chance * (1 + CERTAIN * Math.sqrt(2 / (rates.length - 1)))
  return isChance ? 0 : Math.sqrt(variance - chance) / mean
}

function textOf({ hits, checks }: Part): string {
  return `${shown(hits)} of ${shown(checks)}${checks === 0 ? '' : ` (${percent(hits / checks)})`}`
}
