// Whether verdicts change that nobody said would: both versions have judged the same requests.

import { unexpectedFlips } from '../expectations.ts'
import type { Flip, ShadowCounts } from '../observation.ts'
import type { Situation } from '../situation.ts'
import { exactMcNemar } from '../statistics/mcnemar.ts'
import { sprt } from '../statistics/sprt.ts'
import { alphaOf, BETA, type Guard, percent, SHADOW_TESTS, shown } from './guard.ts'

/** Verdicts differ now and then without fault, as time goes on between two evaluations. */
const HARMLESS = 0.0002
const HARMFUL = 0.01
/** Kinds of flips that are named. */
const NAMED = 5

/** The shadow of the stage, once its node has spoken. */
export function shadowOf({ rollout, byStable }: Situation): ShadowCounts | undefined {
  return byStable.find(({ node }) => node === rollout.first)?.shadow
}

/** One line for each kind: `allow → deny: 12, by rule x`. */
export function flipText({ from, to, rule, count }: Flip): string {
  return `${from} → ${to}: ${shown(count)}${rule === '' ? '' : `, by rule ${rule}`}`
}

export function flipGuard(situation: Situation): Guard {
  const { rollout, expectations } = situation
  const name = 'flips'
  const shadow = shadowOf(situation)
  if (shadow === undefined || shadow.pairs === 0)
    return { name, verdict: 'open', words: `no request was compared at ${rollout.first ?? 'any node'} yet` }
  const { pairs, incomparable } = shadow
  const unexpected = unexpectedFlips(shadow, expectations)
  const hits = Math.min(pairs, sum(unexpected))
  const left = incomparable === 0 ? '' : `, ${shown(incomparable)} could not be compared`
  const seen = `${shown(hits)} unexpected flips (${percent(hits / pairs)}) in ${shown(pairs)} pairs${left}`
  const words = [
    seen,
    ...unexpected
      .toSorted((a, b) => b.count - a.count)
      .slice(0, NAMED)
      .map(flipText),
  ].join('; ')
  const verdict = sprt({
    hits,
    trials: pairs,
    harmless: HARMLESS,
    harmful: HARMFUL,
    alpha: alphaOf(SHADOW_TESTS),
    beta: BETA,
  })
  if (verdict === 'harmful') return { name, verdict: 'fail', words }
  if (pairs < rollout.pace.pairs)
    return { name, verdict: 'open', words: `${words}: ${shown(rollout.pace.pairs)} are needed` }
  return { name, verdict: verdict === 'harmless' ? 'pass' : 'open', words }
}

/** Looked at once, at the end of the stage: few flips, too, are no chance where all go one way. */
export function directionGuard(situation: Situation): Guard {
  const name = 'direction of flips'
  const shadow = shadowOf(situation)
  const unexpected = shadow === undefined ? [] : unexpectedFlips(shadow, situation.expectations)
  const stricter = sum(unexpected.filter(({ to }) => to === 'deny'))
  const laxer = sum(unexpected.filter(({ from }) => from === 'deny'))
  const chance = exactMcNemar(stricter, laxer)
  const words = `${shown(stricter)} to deny, ${shown(laxer)} from it`
  return { name, verdict: chance < alphaOf(SHADOW_TESTS) ? 'fail' : 'pass', words }
}

function sum(flips: readonly Flip[]): number {
  return flips.reduce((total, { count }) => total + count, 0)
}
