// How often an answer may be given again. A verdict with n uses answers the check that it was fetched for and n further
// ones, in the whole mesh: each tier that hands it on hands on a part of what is left, whoever gives an answer takes one
// use, and an answer to a caller that keeps answers takes the uses that this caller is told of.

import { HANDED_ON_SHARE, type VerdictEntry } from './verdict-entry.ts'

export interface UseBudget {
  /** The cached verdicts that the answer is made of: each use of the answer is a use of theirs. */
  readonly parts: readonly VerdictEntry[]
  /** Whether a backend or a rule meant to bound uses (see `isUseBound`). */
  readonly isUseBound: boolean
  /** Uses of its own, where rules bound them. */
  usesLeft: number
}

/** How often the answer may be given again from here. */
export function usesLeft(budget: UseBudget): number {
  let left = budget.usesLeft
  for (const part of budget.parts) left = Math.min(left, part.usesLeft)
  return Math.max(0, left)
}

/**
 * Takes uses for a caller that keeps the answer and gives it again by itself. Of verdicts that others use too it gets a
 * share, which may be none; of what is computed here, all: the next check computes it anew. Where nobody meant to bound
 * uses the caller is told of all that are left, and none are taken.
 * @returns how often the caller may give the answer.
 */
export function handOutUses(budget: UseBudget): number {
  const left = usesLeft(budget)
  if (!budget.isUseBound) return left
  const uses = budget.parts.some((part) => part.isFetched) ? Math.floor(left * HANDED_ON_SHARE) : left
  budget.usesLeft -= uses
  for (const part of budget.parts) part.usesLeft -= uses
  return uses
}
