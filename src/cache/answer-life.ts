// How long an answer may be given again, how often, and by whom.

import type { Epoch } from '../kernel/revocation.ts'
import type { StoredAnswer } from './answer-cache.ts'
import { handOutUses, type UseBudget, usesLeft } from './use-budget.ts'
import type { ReferencedAttribute } from '../kernel/read-log.ts'
import type { Answer } from '../kernel/verdict.ts'

/** Uses that the caller is told of: those that are left here, or, where it keeps the answer, those that it gets. */
export function usesFor({ keepsAnswer }: { readonly keepsAnswer?: boolean }, budget: UseBudget): number {
  return keepsAnswer === true ? handOutUses(budget) : usesLeft(budget)
}

/**
 * A kept answer as it is given at `now`. Nothing is spread here: it is done for nearly every check. Its age is rounded up and
 * what is left of its life down, here and wherever else they become whole milliseconds: so nobody takes it for younger than it
 * is, however many have handed it on.
 */
export function givenAgain(
  { answer, createdAt, freshUntil }: StoredAnswer,
  now: number,
  validUses: number,
  referenced: readonly ReferencedAttribute[],
): Answer {
  return {
    status: answer.status,
    validForMs: Math.max(0, Math.floor(freshUntil - now)),
    validUses,
    tier: 'local',
    ageMs: Math.max(0, Math.ceil(now - createdAt)),
    referenced,
    requestHeaders: answer.requestHeaders,
    responseHeaders: answer.responseHeaders,
    directResponse: answer.directResponse,
    deniedBy: answer.deniedBy,
  }
}

/** The earliest of several epochs; where the sequence started anew in between, one that nothing allows. */
export function oldestEpoch(first: Epoch, others: readonly { readonly epoch: Epoch }[]): Epoch {
  let oldest = first
  for (const { epoch } of others) {
    if (epoch.generation !== oldest.generation) return { generation: '', sequence: 0 }
    if (epoch.sequence < oldest.sequence) oldest = epoch
  }
  return oldest
}

/** The answer after a while: its life goes on while quotas are asked for. */
export function afterWaiting(answer: Answer, ms: number): Answer {
  const { validForMs, ageMs } = answer
  return { ...answer, validForMs: Math.max(0, Math.floor(validForMs - ms)), ageMs: Math.ceil(ageMs + ms) }
}
