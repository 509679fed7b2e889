import { expect, it } from 'vitest'
import { createTuningMetrics } from '../../../src/cache/tuning/tuning-metrics.ts'
import type { PartView, TuningView } from '../../../src/cache/tuning/tuning-view.ts'
import { ReadableMeter } from '../../redis/support.ts'

const part: PartView = {
  name: 'answers',
  kind: 'answers',
  bytes: 10,
  maxBytes: 100,
  recommendedBytes: 200,
  lookupsPerSecond: 100,
  hitRatio: 0.5,
  hitsPerMib: 7,
  missMs: 1,
  callsPerMiss: 1,
  costPerCall: 1,
  curve: [
    { bytes: 50, hitRatio: 0.4, band: 0 },
    { bytes: 100, hitRatio: 0.5, band: 0 },
    { bytes: 400, hitRatio: 0.9, band: 0 },
  ],
  saved: { hits: 3, calls: 2, seconds: 1.5, money: 4 },
}
const view: TuningView = {
  memoryBytes: 1,
  dividedBytes: 1,
  givenBackBytes: 0,
  sampleBytes: 1,
  decision: 'settled',
  moves: { move: 2, shrink: 0, back: 1 },
  parts: [part],
}

it('tells sizes, hit ratios by size, and what was saved once', () => {
  const meter = new ReadableMeter()
  const measure = createTuningMetrics(meter)
  measure(view)
  measure(view)
  expect(meter.value('cache_tuned_bytes', 'answers', 'recommended')).toBe(200)
  expect(meter.value('cache_lookups_per_second', 'answers')).toBe(100)
  expect(meter.value('cache_hits_per_second', 'answers', '0.5')).toBeCloseTo(40)
  expect(meter.value('cache_hits_per_second', 'answers', '4')).toBeCloseTo(90)
  expect(meter.value('cache_hits_per_mib', 'answers')).toBe(7)
  expect(meter.value('cache_saved_calls_total', 'answers')).toBe(2)
  expect(meter.value('cache_saved_seconds_total', 'answers')).toBe(1.5)
  expect(meter.value('cache_saved_cost_total', 'answers')).toBe(4)
  expect(meter.value('cache_moves_total', 'move')).toBe(2)
  measure({ ...view, parts: [] })
  expect(meter.value('cache_tuned_bytes', 'answers', 'present')).toBe(0)
  // Summed with what other processes find, it counts no more.
  expect(meter.value('cache_lookups_per_second', 'answers')).toBe(0)
  expect(meter.value('cache_hits_per_second', 'answers', '4')).toBe(0)
})
