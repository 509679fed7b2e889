// How often verdicts of a handler change, and what validity follows from that. Only suggested: how long a verdict may be believed is
// for its adapter to say.

import { isDeepStrictEqual } from 'node:util'
import { LRUCache } from 'lru-cache'
import type { Verdict } from '../../kernel/verdict.ts'

export interface HandlerValidity {
  readonly name: string
  /** Verdicts that were fetched again, and those of them that were other than before. */
  readonly refreshed: number
  readonly changed: number
  /** Changes of one verdict an hour: what is likely, and what it is at most with 97.5 % certainty. */
  readonly changesPerHour: number
  readonly mostChangesPerHour: number
  /** What adapters declare, on average. */
  readonly validForMs: number
  /** Expected share of answers within that time that are outdated, 0 to 1. */
  readonly outdatedShare: number
  /** The validity with which one answer of a thousand is outdated; `undefined` before enough is known. */
  readonly suggestedMs: number | undefined
}

interface Sums {
  refreshed: number
  changed: number
  intervalMs: number
  validForMs: number
}

/** Share of outdated answers that is put up with. */
const OUTDATED = 0.001
const SHORTEST_MS = 5_000
const LONGEST_MS = 86_400_000
/** Fewer say nothing; beyond so many, what is long ago counts for less. */
const ENOUGH = 30
const MOST = 20_000
/** Those whose verdicts were fetched again last: configs come and go. */
const MAX_HANDLERS = 1_000
const HOUR_MS = 3_600_000
/** Of the normal distribution, for 97.5 %. */
const Z = 1.96

export class ValidityAdvice {
  readonly #byHandler = new LRUCache<string, Sums>({ max: MAX_HANDLERS })

  /** A verdict was fetched again, so long after the one before. */
  refreshed(handler: string, before: Verdict, now: Verdict, intervalMs: number): void {
    if (intervalMs <= 0) return
    const sums = this.#sumsOf(handler)
    sums.refreshed++
    if (!isSame(before, now)) sums.changed++
    sums.intervalMs += intervalMs
    sums.validForMs += now.validForMs
    if (sums.refreshed < MOST) return
    sums.refreshed /= 2
    sums.changed /= 2
    sums.intervalMs /= 2
    sums.validForMs /= 2
  }

  view(): readonly HandlerValidity[] {
    return [...this.#byHandler.entries()].map(([name, sums]) => validityOf(name, sums))
  }

  #sumsOf(handler: string): Sums {
    const known = this.#byHandler.get(handler)
    if (known !== undefined) return known
    const sums = { refreshed: 0, changed: 0, intervalMs: 0, validForMs: 0 }
    this.#byHandler.set(handler, sums)
    return sums
  }
}

/** The estimator of Cho and Garcia-Molina (Estimating frequency of change, TOIT 2003): several changes in one interval are seen as one. */
function validityOf(name: string, { refreshed: n, changed: x, intervalMs, validForMs }: Sums): HandlerValidity {
  const interval = intervalMs / n
  const rate = -Math.log((n - x + 0.5) / (n + 0.5)) / interval
  const most = -Math.log(1 - Math.min(upperShare(x, n), n / (n + 0.5))) / interval
  const valid = validForMs / n
  return {
    name,
    refreshed: Math.round(n),
    changed: Math.round(x),
    changesPerHour: rate * HOUR_MS,
    mostChangesPerHour: most * HOUR_MS,
    validForMs: Math.round(valid),
    outdatedShare: outdatedWithin(rate * valid),
    suggestedMs: n < ENOUGH ? undefined : suggestedOf(most, valid),
  }
}

/** What is valid for less than the shortest that is worth a call already is to be valid no longer, where it changes as often. */
function suggestedOf(changesPerMs: number, validForMs: number): number {
  const shortest = Math.min(SHORTEST_MS, validForMs)
  return Math.round(Math.min(LONGEST_MS, Math.max(shortest, (2 * OUTDATED) / changesPerMs)))
}

/** Share of a time in which a verdict has changed already, by the changes that are expected in all of it. */
function outdatedWithin(changes: number): number {
  return changes < 1e-6 ? changes / 2 : 1 + Math.expm1(-changes) / changes
}

/** Upper end of the interval of a share (Wilson 1927). */
function upperShare(x: number, n: number): number {
  const share = x / n
  const spread = Z * Math.sqrt((share * (1 - share)) / n + Z ** 2 / (4 * n ** 2))
  return (share + Z ** 2 / (2 * n) + spread) / (1 + Z ** 2 / n)
}

function isSame(one: Verdict, two: Verdict): boolean {
  if (one === two) return true
  return (
    one.kind === two.kind &&
    one.status.code === two.status.code &&
    one.status.message === two.status.message &&
    isDeepStrictEqual(one.directResponse, two.directResponse) &&
    isDeepStrictEqual(one.output, two.output)
  )
}
