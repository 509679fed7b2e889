// How old an answer may be, how long and how often it may be given again.

import type { Answer } from '../../src/kernel/verdict.ts'
import { REFUSED_MS } from './judge-paid.ts'
import type { Possibility, Verdicts } from './oracle/possible.ts'

const DEFAULT_VALID_MS = 60_000
/** Of what no handler has said, where a sidecar reaches no node. */
const DEFAULT_STALE_MS = 600_000
const DEFAULT_USES = 10_000

export interface LifeBounds {
  /** How long the answer took. */
  readonly tookMs: number
  /** How long it may have been on its way: what the node needed is in its age, too. */
  readonly onWayMs: number
  /** Where quotas were charged, or refused it: for how long it may be given again. */
  readonly paidMs: number | undefined
  /** Whether a sidecar gives it of what it keeps: it holds uses of several answers together that it has paid for alike. */
  readonly isKept: boolean
  /** Whether a quota refused it. */
  readonly isRefused: boolean
  /** What of its life was lost where times became whole milliseconds. */
  readonly roundedMs: number
  /** Whether all of its life may be lost: a sidecar that does not keep an answer lets nobody else keep it. */
  readonly mayBeLost: boolean
}

/**
 * Says what is wrong with the life of an answer that is made of these verdicts; `undefined` where nothing is.
 */
export function lifeProblem(
  answer: Answer,
  { evaluated, bag }: Possibility,
  verdicts: Verdicts,
  { tookMs, onWayMs, paidMs, isKept, isRefused, roundedMs, mayBeLost }: LifeBounds,
): string | undefined {
  const { tier, ageMs, validForMs, validUses } = answer
  const { steps, questions, matched } = evaluated
  const isPaid = paidMs !== undefined
  if (isPaid && (validForMs > paidMs || (paidMs === 0 && validUses > 0)))
    return `it may be given again for ${validForMs} ms, ${validUses} times, though a quota was charged for it`
  const isUnknown = steps.some(({ question }) => question === undefined || verdicts[question] === undefined)
  const lives = questions.flatMap(({ handler }, i) => {
    const verdict = verdicts[i]
    if (verdict === undefined) return []
    const bound = verdict.code === 0 ? undefined : handler.maxDenyValidForMs
    const validMs = Math.min(verdict.validForMs, bound ?? Number.POSITIVE_INFINITY)
    return [{ validMs, servedMs: validMs + (tier === 'stale' ? handler.staleIfErrorMs : 0), uses: verdict.validUses }]
  })
  const unsaid = DEFAULT_VALID_MS + (tier === 'stale' ? DEFAULT_STALE_MS : 0)
  const oldest = lives.length === 0 ? unsaid : Math.max(...lives.map(({ servedMs }) => servedMs))
  if (ageMs > oldest + tookMs + onWayMs + roundedMs + (isRefused ? REFUSED_MS : 0))
    return `it is ${ageMs} ms old, and may be ${oldest}`
  if (isUnknown || tier === 'stale') {
    return validForMs > 0 || validUses > 0 ? `it is valid though ${isUnknown ? 'unknown' : 'stale'}` : undefined
  }
  // What was used up a moment ago is so whatever handlers say now.
  if (isRefused) return undefined
  const rules = (bound: (rule: (typeof matched)[0]) => number | undefined) =>
    Math.min(...matched.map((rule) => bound(rule) ?? Number.POSITIVE_INFINITY))
  const ruleMs = rules(({ maxValidForMs }) => maxValidForMs)
  const most =
    lives.length === 0
      ? Math.max(0, Math.min(DEFAULT_VALID_MS, ruleMs) - ageMs)
      : Math.max(
          0,
          Math.min(
            ...lives.map(({ validMs }) => validMs),
            ruleMs - ageMs,
            Math.max(...lives.map(({ validMs }) => validMs)) - ageMs,
          ),
        )
  if (validForMs > most) return `it is valid for ${validForMs} ms, and may be for ${most}`
  // What read an unknown attribute is not kept, whatever came of it.
  if (!mayBeLost && !isPaid && lives.length === 0 && !bag.hasUnknown && validForMs < most - roundedMs)
    return `it is valid for ${validForMs} ms, and should be for ${most}`
  // What was paid for is counted by itself, use by use.
  if (isPaid && isKept) return undefined
  const uses = Math.min(
    ...lives.map((life) => life.uses),
    DEFAULT_USES,
    rules(({ maxValidUses }) => maxValidUses),
  )
  return validUses > uses ? `it is valid ${validUses} times, and may be ${uses}` : undefined
}
