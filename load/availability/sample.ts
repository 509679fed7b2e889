// What one arm's requests got, classed: was the key warm, and was the backend down.

import type { Outcome } from '../driver.ts'
import { decisionOn, pathOf } from '../oracle.ts'
import type { Outage } from '../schedule.ts'
import { type Cluster, quantiles } from '../statistics.ts'

export interface SampleOptions {
  readonly outages: readonly Outage[]
  /** Requests before it are not counted. */
  readonly warmUpMs: number
  /** A key that was answered from a working backend's verdict within this time is warm. */
  readonly warmMs: number
  /** The oldest answer that is allowed, and the oldest that was not marked as stale. */
  readonly maxAgeMs: number
  readonly validityMs: number
  /** Ages count from when the request was sent: a sidecar does not know how long an answer was on its way. */
  readonly isAgedByCaller?: boolean
}

/** How requests of one class fared. */
export interface ClassCounts {
  /** By outage. A failure shortly before or after is charged to the outage, its request is not counted. */
  readonly down: readonly Cluster[]
  readonly up: Cluster
}

export interface SampleFigures {
  readonly all: ClassCounts
  readonly warm: ClassCounts
  readonly cold: ClassCounts
  readonly wrong: number
  readonly beyondAge: number
  /** The first of them: `tier age latency`, in ms. */
  readonly beyondExamples: readonly string[]
  readonly oldestMs: number
  readonly latency: { readonly p50: number; readonly p99: number }
  /** How late the driver itself was: beyond some milliseconds the machine was too busy for the figures to count. */
  readonly lateP99: number
  readonly tiers: Readonly<Record<string, number>>
  /** The first failures of warm keys: time in ms, key, message. */
  readonly warmFailures: readonly string[]
  /** Messages of failures while no outage was near, with how often each came. */
  readonly upErrors: Readonly<Record<string, number>>
}

/** What an outage leaves behind (open breakers, calls that hang) is over after this time. */
export const AFTERMATH_MS = 3_000
/** The handlers' timeout: a request may join a fetch that began so much earlier. */
const FETCH_MS = 500
/** Requests under way when an outage begins meet it too. */
const BEFORE_MS = 500

/** Classes outcomes in any order of ending. */
export function classify(outcomes: readonly Outcome[], options: SampleOptions): SampleFigures {
  const tallies = {
    all: new Tally(options.outages),
    warm: new Tally(options.outages),
    cold: new Tally(options.outages),
  }
  const lastGood = new Map<number, number>()
  const tiers: Record<string, number> = {}
  const upErrors: Record<string, number> = {}
  let wrong = 0
  let beyondAge = 0
  const beyondExamples: string[] = []
  const warmFailures: string[] = []
  let oldestMs = 0
  for (const outcome of [...outcomes].sort((a, b) => a.at - b.at)) {
    const { key, at, decision, tier, ageMs = 0, error = '' } = outcome
    const warm = at - (lastGood.get(key) ?? Number.NEGATIVE_INFINITY) < options.warmMs
    const failed = decision === 'none'
    if (!failed && tier !== 'stale') lastGood.set(key, at)
    if (!failed && decision !== decisionOn(pathOf(key))) wrong++
    // Ages are whole milliseconds, rounded.
    if (!failed && tier !== undefined && ageMs > boundOf(outcome, options) + 1) {
      beyondAge++
      if (beyondExamples.length < 5) beyondExamples.push(`${tier} ${ageMs} ${outcome.latencyMs.toFixed(0)}`)
    }
    oldestMs = Math.max(oldestMs, ageMs)
    if (at < options.warmUpMs) continue
    tiers[tier ?? 'none'] = (tiers[tier ?? 'none'] ?? 0) + 1
    const isUp = tallies.all.count(at, failed)
    tallies[warm ? 'warm' : 'cold'].count(at, failed)
    if (warm && failed && warmFailures.length < 10) warmFailures.push(`${at.toFixed(0)} ${key} ${error}`)
    if (isUp && failed) upErrors[error] = (upErrors[error] ?? 0) + 1
  }
  const { all, warm, cold } = tallies
  const [p50, p99] = quantiles(
    Float64Array.from(outcomes, ({ latencyMs }) => latencyMs),
    0.5,
    0.99,
  )
  const [lateP99] = quantiles(
    Float64Array.from(outcomes, ({ lateMs }) => lateMs),
    0.99,
  )
  return {
    all: all.counts(),
    warm: warm.counts(),
    cold: cold.counts(),
    latency: { p50, p99 },
    lateP99,
    wrong,
    beyondAge,
    beyondExamples,
    warmFailures,
    oldestMs,
    tiers,
    upErrors,
  }
}

/** The oldest that an answer may be. One that was fetched for the request is as old as the fetch, however short its life. */
function boundOf({ tier, latencyMs }: Outcome, { maxAgeMs, validityMs, isAgedByCaller }: SampleOptions): number {
  if (tier === 'stale') return maxAgeMs
  if (isAgedByCaller === true) return validityMs + latencyMs
  return tier === 'backend' ? Math.max(validityMs, latencyMs + FETCH_MS) : validityMs
}

class Tally {
  readonly #outages: readonly Outage[]
  readonly #down: { requests: number; failures: number }[]
  readonly #up = { requests: 0, failures: 0 }

  constructor(outages: readonly Outage[]) {
    this.#outages = outages
    this.#down = outages.map(() => ({ requests: 0, failures: 0 }))
  }

  /** @returns whether no outage was near. */
  count(at: number, failed: boolean): boolean {
    const index = this.#outages.findIndex(({ from, to }) => at >= from - BEFORE_MS && at < to + AFTERMATH_MS)
    const outage = this.#outages[index]
    const cluster = this.#down[index]
    if (outage === undefined || cluster === undefined) {
      this.#up.requests++
      if (failed) this.#up.failures++
      return true
    }
    if (at >= outage.from && at < outage.to) cluster.requests++
    if (failed) cluster.failures++
    return false
  }

  counts(): ClassCounts {
    return { down: this.#down, up: this.#up }
  }
}
