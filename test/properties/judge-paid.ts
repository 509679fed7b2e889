// Holds what sidecars do with uses that they have paid for ahead against what nodes have charged for them.

import { Accounts } from './accounts.ts'
import { MOST_USABLE_MS, type WindowOutcome, type WindowOutcomes } from './windows.ts'

/** An answer for which counters were charged, or that one has refused, as a node has told it to a sidecar. */
export interface PaidAnswer {
  /** As the world has noted them. */
  readonly charges: readonly string[]
  readonly outcomes: WindowOutcomes
  /** Until when it may be given again. */
  readonly until: number
}

/** For how long others may be refused. */
export const REFUSED_MS = 100

export class PaidAnswers {
  /** By sidecar, the newest last. */
  readonly #answers = new Map<string, PaidAnswer[]>()
  readonly #accounts = new Accounts()

  /**
   * A node has told a sidecar an answer that it may keep.
   * @param uses that were paid for beside the check
   */
  told(sidecar: string, first: Omit<PaidAnswer, 'until'>, ahead: WindowOutcomes, uses: number): string | undefined {
    const { charges, outcomes } = first
    this.#of(sidecar).push({ charges, outcomes: outcomesTold(outcomes, ahead), until: paidUntil(outcomes, ahead) })
    if (isRefused(outcomes)) return undefined
    const further = byCounter(ahead)
    for (const outcome of outcomes.values()) {
      const { counter, amount } = outcome
      const paid = further.get(counter)
      if (paid?.granted !== uses * amount)
        return `${uses} uses are handed out, and ${paid?.granted} charged to ${counter}`
      this.#accounts.buy(nameOf(sidecar, counter), paid.granted, windowOf(paid))
    }
    return undefined
  }

  /** What was paid for a check that nobody has made is a use, too. */
  unasked(sidecar: string, outcomes: WindowOutcomes): void {
    for (const outcome of outcomes.values())
      this.#accounts.buy(nameOf(sidecar, outcome.counter), outcome.granted, windowOf(outcome))
  }

  /** Those that a sidecar may give now. */
  kept(sidecar: string, at: number): readonly PaidAnswer[] {
    const answers = this.#of(sidecar).filter(({ until }) => at < until)
    this.#answers.set(sidecar, answers)
    return answers
  }

  /** A sidecar gives an answer for which it has paid, to so many. */
  use(sidecar: string, { outcomes }: PaidAnswer, times: number, at: number): string | undefined {
    let problem: string | undefined
    for (const { counter, amount } of outcomes.values())
      problem ??= this.#accounts.use(nameOf(sidecar, counter), times * amount, at)
    return problem
  }

  /** A sidecar says that it has not used so many uses. */
  giveBack(
    sidecar: string,
    counters: readonly { readonly counter: string; readonly amount: number }[],
    uses: number,
  ): string | undefined {
    let problem: string | undefined
    for (const { counter, amount } of counters)
      problem ??= this.#accounts.giveBack(nameOf(sidecar, counter), uses * amount)
    return problem
  }

  #of(sidecar: string): PaidAnswer[] {
    let answers = this.#answers.get(sidecar)
    if (answers === undefined) this.#answers.set(sidecar, (answers = []))
    return answers
  }
}

/** Until when an answer may be given again for which this was charged, to the check itself and ahead. */
export function paidUntil(outcomes: WindowOutcomes, ahead: WindowOutcomes): number {
  return isRefused(outcomes) ? refusedUntil(outcomes) : usableUntil(ahead)
}

/** What callers hear of limits: how they stand after all that was charged. */
export function outcomesTold(outcomes: WindowOutcomes, ahead: WindowOutcomes): WindowOutcomes {
  if (isRefused(ahead)) return new Map(outcomes)
  const further = byCounter(ahead)
  const told = ([text, outcome]: [string, WindowOutcome]) =>
    [text, { ...outcome, standing: further.get(outcome.counter)?.standing ?? outcome.standing }] as const
  return new Map(Array.from(outcomes, told))
}

function byCounter(outcomes: WindowOutcomes): ReadonlyMap<string, WindowOutcome> {
  return new Map(Array.from(outcomes.values(), (outcome) => [outcome.counter, outcome]))
}

function isRefused(outcomes: WindowOutcomes): boolean {
  return [...outcomes.values()].some(({ code }) => code !== 0)
}

function usableUntil(ahead: WindowOutcomes): number {
  if (ahead.size === 0) return Number.NEGATIVE_INFINITY
  return Math.min(...Array.from(ahead.values(), ({ usableUntil: until }) => until))
}

function refusedUntil(outcomes: WindowOutcomes): number {
  const over = [...outcomes.values()].filter(({ code }) => code !== 0)
  return Math.min(...over.map(({ at, standing }) => at + Math.min(REFUSED_MS, standing.retryAfterMs, MOST_USABLE_MS)))
}

const nameOf = (sidecar: string, counter: string) => `${sidecar} ${counter}`

const windowOf = ({ window, standing }: WindowOutcome) => ({
  window,
  windowMs: standing.windowMs ?? Number.POSITIVE_INFINITY,
})
