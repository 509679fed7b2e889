// What is known of caches that share a memory, as metrics.

import {
  CACHE_HITS_PER_MIB,
  CACHE_HITS_PER_SECOND,
  CACHE_LOOKUPS_PER_SECOND,
  CACHE_MOVES_TOTAL,
  CACHE_SAVED_CALLS_TOTAL,
  CACHE_SAVED_COST_TOTAL,
  CACHE_SAVED_SECONDS_TOTAL,
  CACHE_TUNED_BYTES,
} from '../../kernel/metrics/cache.ts'
import type { Meter } from '../../kernel/ports.ts'
import { missAt } from './curve.ts'
import type { PartView, Savings, TuningView } from './tuning-view.ts'

const MULTIPLES = CACHE_HITS_PER_SECOND.labels.memory
const NOTHING: Savings = { hits: 0, calls: 0, seconds: 0, money: 0 }

/** Brings the series up to date with a view. */
export type MeasureTuning = (view: TuningView) => void

export function createTuningMetrics(meter: Meter): MeasureTuning {
  const bytes = meter.gauge(CACHE_TUNED_BYTES)
  const lookups = meter.gauge(CACHE_LOOKUPS_PER_SECOND)
  const hits = meter.gauge(CACHE_HITS_PER_SECOND)
  const gains = meter.gauge(CACHE_HITS_PER_MIB)
  const calls = meter.counter(CACHE_SAVED_CALLS_TOTAL)
  const seconds = meter.counter(CACHE_SAVED_SECONDS_TOTAL)
  const cost = meter.counter(CACHE_SAVED_COST_TOTAL)
  const moves = meter.counter(CACHE_MOVES_TOTAL)
  const told = new Map<string, Savings>()
  let toldMoves: TuningView['moves'] = { move: 0, shrink: 0, back: 0 }
  const measure = (part: PartView) => {
    const { name: cache, maxBytes, recommendedBytes, lookupsPerSecond, hitsPerMib, saved } = part
    bytes({ cache, size: 'present' }).set(maxBytes)
    bytes({ cache, size: 'recommended' }).set(recommendedBytes)
    lookups({ cache }).set(lookupsPerSecond)
    for (const memory of MULTIPLES)
      hits({ cache, memory }).set(lookupsPerSecond * hitRatioAt(part, Number(memory) * maxBytes))
    gains({ cache }).set(hitsPerMib)
    const known = told.get(cache) ?? NOTHING
    // A cache that was given up and came back has begun anew.
    const before = known.hits > saved.hits ? NOTHING : known
    calls({ cache }).add(saved.calls - before.calls)
    seconds({ cache }).add(saved.seconds - before.seconds)
    cost({ cache }).add(saved.money - before.money)
    told.set(cache, { ...saved })
  }
  return (view) => {
    for (const part of view.parts) measure(part)
    for (const kind of CACHE_MOVES_TOTAL.labels.kind) moves({ kind }).add(view.moves[kind] - toldMoves[kind])
    toldMoves = { ...view.moves }
    // Of a cache that is given up nothing is told any more, but for what it saved.
    const names = new Set(view.parts.map(({ name }) => name))
    for (const cache of told.keys()) {
      if (names.has(cache)) continue
      bytes({ cache, size: 'present' }).set(0)
      bytes({ cache, size: 'recommended' }).set(0)
      gains({ cache }).set(0)
      lookups({ cache }).set(0)
      for (const memory of MULTIPLES) hits({ cache, memory }).set(0)
      told.delete(cache)
    }
  }
}

function hitRatioAt({ curve }: PartView, bytes: number): number {
  const points = curve.map((point) => ({ bytes: point.bytes, miss: 1 - point.hitRatio, replicas: [] }))
  return 1 - missAt({ points, ratio: 1, lookups: 0 }, bytes)
}
