// What is charged ahead of need, for callers that keep what it pays for: how much, for how long, and how long a refusal is
// remembered.

import type { LimitStanding } from '../adapter-kit/define-adapter.ts'
import { HANDED_ON_SHARE } from '../cache/verdict-entry.ts'

/** Less is over before the caller has it. */
const LEAST_USABLE_MS = 10
/** Somebody may give back. */
const REFUSED_MS = 100

/** For how long, in ms, what these limits charge now may be used; 0 where each use is to be charged when it comes. */
export function usableMs(limits: readonly LimitStanding[]): number {
  let least = Number.POSITIVE_INFINITY
  for (const limit of limits) least = Math.min(least, limit.usableMs ?? 0)
  return Number.isFinite(least) && least >= LEAST_USABLE_MS ? Math.floor(least) : 0
}

/**
 * How many uses of so much each, at most `wanted`, one caller may have ahead. A share of what is left, so that others find
 * something, and each use is charged by itself where a limit is nearly used up.
 */
export function usesAhead(limits: readonly LimitStanding[], amount: number, wanted: number): number {
  let uses = wanted
  for (const { left } of limits) uses = Math.min(uses, Math.floor((left * HANDED_ON_SHARE) / Math.max(1, amount)))
  return Math.max(0, uses)
}

/** For how long, in ms, whoever asks for the same again is refused; 0 where it may be granted as soon as somebody gives back. */
export function refusedMs(limits: readonly LimitStanding[]): number {
  const over = limits.filter(({ retryAfterMs }) => retryAfterMs > 0)
  if (over.length === 0 || over.some((limit) => limit.usableMs === undefined)) return 0
  return Math.floor(Math.min(REFUSED_MS, ...over.map(({ retryAfterMs }) => retryAfterMs)))
}
