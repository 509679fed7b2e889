// How series are kept in durable counters: one group of fields a metric, one field a series, and what its numbers mean.

import type { CounterChange } from '../../adapter-kit/durable-counters.ts'
import { fieldOf, type MetricDefinition } from './metric-definition.ts'

/**
 * What is added to (or, for a gauge, set in) one series: the value or sum, then for a histogram the count of each
 * bucket, not cumulated; the last one is +Inf.
 */
export type SeriesNumbers = number[]

/** Observes a value in the numbers of a series. */
export function observe(metric: MetricDefinition, numbers: SeriesNumbers, value: number): void {
  if (metric.type === 'gauge') numbers[0] = value
  else numbers[0] = (numbers[0] ?? 0) + value
  if (metric.type !== 'histogram') return
  const found = metric.bounds.findIndex((bound) => value <= bound)
  const at = 1 + (found < 0 ? metric.bounds.length : found)
  numbers[at] = (numbers[at] ?? 0) + 1
}

/** No observation yet. */
export function noNumbers(metric: MetricDefinition): SeriesNumbers {
  return Array.from({ length: metric.type === 'histogram' ? metric.bounds.length + 2 : 1 }, () => 0)
}

/** Sums up the changes of a batch, so that each series is touched once. */
export class ChangeSet {
  readonly #byMetric = new Map<MetricDefinition, Map<string, SeriesNumbers>>()

  observe(metric: MetricDefinition, labels: readonly string[], value: number): void {
    const byField = this.#byMetric.get(metric) ?? new Map<string, SeriesNumbers>()
    this.#byMetric.set(metric, byField)
    const field = fieldOf(labels)
    const numbers = byField.get(field) ?? noNumbers(metric)
    byField.set(field, numbers)
    observe(metric, numbers, value)
  }

  get changes(): CounterChange[] {
    return [...this.#byMetric].flatMap(([metric, byField]) =>
      [...byField].map(([field, numbers]) => changeOf(metric, field, numbers)),
    )
  }
}

export function changeOf(metric: MetricDefinition, field: string, numbers: SeriesNumbers): CounterChange {
  const { group } = metric
  return metric.type === 'gauge' ? { group, field, set: numbers } : { group, field, add: numbers }
}
