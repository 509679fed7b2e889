// The step budget: how much work one evaluation may be, whatever the request holds. A step is an item of a
// comprehension or a few dozen characters that a function goes through: some tens of nanoseconds.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import { EvaluationError } from './compiled.ts'

/** Steps of one evaluation unless told otherwise: a few milliseconds at worst. */
export const DEFAULT_MAX_STEPS = 100_000

/** Characters that count as a step. */
const STEP_CHARACTERS = 64

/** How often a character of a name or an address is looked at where those are read or compared. */
export const READER_WEIGHT = 32

/** The failure of an evaluation that took too many steps. */
export const EXHAUSTED = new EvaluationError('the evaluation takes too many steps', 'exhausted')

/** What the evaluations that one request calls for may take together, in budgets of one. */
const SHARED_BUDGETS = 10

/** Evaluation is synchronous and never re-enters, so one counter serves all expressions. */
const budget = { left: DEFAULT_MAX_STEPS, shared: Number.POSITIVE_INFINITY }

/**
 * Does work whose evaluations take their steps together: as many as ten of them may, so that thousands of rules do not
 * each go through what a caller has made long. Those that take no steps are evaluated all the same.
 */
export function sharingSteps<T>(work: () => T): T {
  // Work within such work takes of the same steps.
  if (budget.shared !== Number.POSITIVE_INFINITY) return work()
  budget.shared = SHARED_BUDGETS
  try {
    return work()
  } finally {
    budget.shared = Number.POSITIVE_INFINITY
  }
}

/** Takes steps from the budget. @returns false once it is used up. */
export function spend(steps: number): boolean {
  budget.left -= steps
  return budget.left >= 0
}

/** Takes the steps for going through so many characters. @returns false once the budget is used up. */
export function spendCharacters(characters: number): boolean {
  return spend(Math.ceil(characters / STEP_CHARACTERS))
}

/** What is left of the budget, to be restored where the same work is done a second time. */
export function remainingSteps(): number {
  return budget.left
}

/** Sets what is left of the budget: at the start of an evaluation, or back to what it was. */
export function setRemainingSteps(steps: number): void {
  budget.left = steps
}

/** An evaluation with a budget of its own, or what is left of the shared ones. */
export function budgeted<T>(
  evaluate: (bag: AttributeBag, log: ReadLog | undefined) => T,
  maxSteps: number,
): (bag: AttributeBag, log: ReadLog | undefined) => T {
  return (bag, log) => {
    const given = budget.shared >= 1 ? maxSteps : Math.max(0, budget.shared) * maxSteps
    budget.left = given
    const value = evaluate(bag, log)
    budget.shared -= (given - budget.left) / maxSteps
    return value
  }
}
