// Buckets that refill: all the time (GCRA) or in steps. What is kept is what was used of them, not what is left: so a limit
// that is raised counts at once.

import { type Algorithm, type Count, HAIR, type RuleOf, wholePart } from './algorithm.ts'

interface Used {
  readonly used: number
  /** Milliseconds since the epoch: up to when refilling has been reckoned with. */
  readonly at: number
}

export const gcra: Algorithm<RuleOf<'gcra'>, Used> = {
  at(state, rule, now) {
    if (state === undefined || isFarAhead(state, rule, now)) return { used: 0, at: now }
    if (now <= state.at) return state
    const used = state.used - ((now - state.at) * rule.amount) / rule.windowMs
    return { used: used < HAIR ? 0 : used, at: now }
  },
  count({ used, at }, rule, now): Count {
    const msFor = (tokens: number) => Math.max(0, (tokens * rule.windowMs) / rule.amount + Math.max(0, at - now))
    return countOf(used, rule, msFor)
  },
  charge,
}

export const tokenBucket: Algorithm<RuleOf<'tokenBucket'>, Used> = {
  at(state, rule, now) {
    if (state === undefined || isFarAhead(state, rule, now)) return { used: 0, at: now }
    const steps = Math.max(0, Math.floor((now - state.at) / rule.windowMs))
    const used = Math.max(0, state.used - steps * rule.amount)
    // A full bucket waits for the next charge: its steps are counted from there.
    return used === 0 ? { used, at: Math.max(now, state.at) } : { used, at: state.at + steps * rule.windowMs }
  },
  count({ used, at }, rule, now): Count {
    const msFor = (tokens: number) => at + Math.ceil(tokens / rule.amount) * rule.windowMs - now
    return countOf(used, rule, msFor)
  },
  charge,
}

interface Bucket {
  readonly amount: number
  readonly windowMs: number
  readonly burst: number
}

/** @param msFor how long it takes until so much has been refilled */
function countOf(used: number, { amount: refill, windowMs, burst }: Bucket, msFor: (tokens: number) => number): Count {
  return {
    free: wholePart(burst - used),
    resetMs: used === 0 ? 0 : refill === 0 ? windowMs : msFor(used),
    window: 0,
    retryMs: (amount) => {
      if (amount > burst) return Number.POSITIVE_INFINITY
      return used + amount <= burst ? 0 : msFor(used + amount - burst)
    },
  }
}

/** What is counted although it was refused fills the bucket, and no more: else it would be shut for ever. */
function charge({ used, at }: Used, { burst }: { readonly burst: number }, amount: number): Used {
  return { used: Math.max(0, Math.min(used + amount, burst)), at }
}

/** A state of more than a window from now was left by a clock that has been set back: waiting for it would block. */
function isFarAhead({ at }: Used, { windowMs }: { readonly windowMs: number }, now: number): boolean {
  return at - now > windowMs
}
