// How one way of counting works, on state in memory. `redis/scripts/quota-charge-n.lua` does the same on state in Redis, and
// test/quota/algorithms.property.test.ts holds both against a log of all charges.

import type { LimitRule } from '../../adapter-kit/limits.ts'

/** A counter at one moment. */
export interface Count {
  /** How much could be charged now: a whole number, below 0 where more was counted than is allowed. */
  readonly free: number
  /** Milliseconds until nothing counts any more. */
  readonly resetMs: number
  /** Which window this is: what is given back, or charged afterwards, counts only there. */
  readonly window: number
  /** Milliseconds until `amount` could be charged if nobody else charges; infinite where it never can. */
  retryMs(amount: number): number
}

/** `S` is what is kept between charges; `undefined` stands for a counter that nothing was charged to. */
export interface Algorithm<R extends LimitRule, S> {
  /** The state at `now` (ms since the epoch; it may step back), as one that was kept has become. */
  at(state: S | undefined, rule: R, now: number): S
  count(state: S, rule: R, now: number): Count
  /**
   * Charges in `window`, 0 for that of now: `amount` may exceed what is free, or be negative to give back what was charged in
   * `window`. What belongs to a window that is over changes nothing.
   */
  charge(state: S, rule: R, amount: number, window: number, now: number): S
}

export type RuleOf<A extends LimitRule['algorithm']> = Extract<LimitRule, { readonly algorithm: A }>

/** Sums of fractions miss whole numbers by a hair. */
export const HAIR = 1e-6

export function wholePart(value: number): number {
  return Math.floor(value + HAIR)
}
