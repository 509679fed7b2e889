// The series of whoever keeps answers of nodes, resolved once.

import {
  FIRST_LEVEL_ANSWERS,
  FIRST_LEVEL_BYTES,
  FIRST_LEVEL_CHECKS_TOTAL,
  FIRST_LEVEL_EVICTED_TOTAL,
  FIRST_LEVEL_NOT_KEPT_TOTAL,
  FIRST_LEVEL_RECOMMENDED_ANSWERS,
  FIRST_LEVEL_REFRESHED_TOTAL,
  FIRST_LEVEL_RETURNED_USES_TOTAL,
} from '../kernel/metrics/first-level.ts'
import type { Counter, Gauge, Meter } from '../kernel/ports.ts'
import type { FirstLevelCache, NotKept } from './first-level-cache.ts'

export interface FirstLevelMetrics {
  /** Checks, by who answered them. */
  readonly kept: Counter
  readonly node: Counter
  readonly stale: Counter
  readonly none: Counter
  readonly notKept: NotKept
  readonly onEvict: () => void
  readonly refreshed: Readonly<Record<'kept' | 'not_kept' | 'failed' | 'over_budget', Counter>>
  readonly returned: Counter
  readonly recommended: Gauge
  measure(cache: FirstLevelCache): void
}

export function createFirstLevelMetrics(meter: Meter): FirstLevelMetrics {
  const checks = meter.counter(FIRST_LEVEL_CHECKS_TOTAL)
  const notKept = meter.counter(FIRST_LEVEL_NOT_KEPT_TOTAL)
  const evicted = meter.counter(FIRST_LEVEL_EVICTED_TOTAL)()
  const refreshed = meter.counter(FIRST_LEVEL_REFRESHED_TOTAL)
  const answers = meter.gauge(FIRST_LEVEL_ANSWERS)()
  const bytes = meter.gauge(FIRST_LEVEL_BYTES)()
  return {
    kept: checks({ answer: 'kept' }),
    node: checks({ answer: 'node' }),
    stale: checks({ answer: 'stale' }),
    none: checks({ answer: 'none' }),
    notKept: {
      life: notKept({ reason: 'life' }),
      shape: notKept({ reason: 'shape' }),
      mismatch: notKept({ reason: 'mismatch' }),
      size: notKept({ reason: 'too_large' }),
      reads: notKept({ reason: 'too_many_reads' }),
    },
    onEvict: () => evicted.add(),
    refreshed: {
      kept: refreshed({ outcome: 'kept' }),
      not_kept: refreshed({ outcome: 'not_kept' }),
      failed: refreshed({ outcome: 'failed' }),
      over_budget: refreshed({ outcome: 'over_budget' }),
    },
    returned: meter.counter(FIRST_LEVEL_RETURNED_USES_TOTAL)(),
    recommended: meter.gauge(FIRST_LEVEL_RECOMMENDED_ANSWERS)(),
    measure(cache) {
      answers.set(cache.size)
      bytes.set(cache.bytes)
    },
  }
}
