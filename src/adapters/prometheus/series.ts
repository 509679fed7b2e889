// How series are kept in durable counters: which fields a change touches, and what a register's fields mean.

import type { CounterChange } from '../../adapter-kit/durable-counters.ts'
import { parseJson } from '../../kernel/parse-json.ts'
import type { MetricDefinition } from './metric-definition.ts'

/** What a field holds: `v` a value or sum, `b<i>` the count of a bucket (the last one is +Inf), `t` the time of change. */
type Part = 'v' | 't' | `b${number}`

/** One series of a register, with its fields as they were read. */
export interface Series {
  readonly labels: readonly string[]
  value: number
  /** Milliseconds since the epoch of the last change. */
  changedAt: number
  /** Counts by bucket, not cumulated; empty unless a histogram. */
  readonly buckets: number[]
  readonly fields: string[]
}

export function fieldOf(metric: MetricDefinition, part: Part, labels: readonly string[]): string {
  return JSON.stringify([metric.name, metric.digest, part, ...labels])
}

/** Sums up the changes of a batch, so that each field is touched once. */
export class ChangeSet {
  readonly #adds = new Map<string, number>()
  readonly #sets = new Map<string, number>()

  observe(metric: MetricDefinition, labels: readonly string[], value: number, now: number): void {
    const field = fieldOf(metric, 'v', labels)
    if (metric.type === 'gauge') this.#sets.set(field, value)
    else this.#add(field, value)
    if (metric.type === 'histogram') {
      const bucket = metric.bounds.findIndex((bound) => value <= bound)
      this.#add(fieldOf(metric, `b${bucket < 0 ? metric.bounds.length : bucket}`, labels), 1)
    }
    this.#sets.set(fieldOf(metric, 't', labels), now)
  }

  get changes(): CounterChange[] {
    return [
      ...[...this.#adds].map(([field, add]) => ({ field, add })),
      ...[...this.#sets].map(([field, set]) => ({ field, set })),
    ]
  }

  #add(field: string, amount: number): void {
    this.#adds.set(field, (this.#adds.get(field) ?? 0) + amount)
  }
}

/** Reads a register: series by metric name, then by label values. Fields of older definitions are left out. */
export function readRegister(
  fields: ReadonlyMap<string, number>,
  metrics: ReadonlyMap<string, MetricDefinition>,
): Map<string, Map<string, Series>> {
  const found = new Map<string, Map<string, Series>>()
  for (const [field, value] of fields) {
    const [name = '', digest, part = '', ...labels] = parseJson(field) as string[]
    const metric = metrics.get(name)
    if (metric === undefined || metric.digest !== digest) continue
    const ofMetric = found.get(name) ?? new Map<string, Series>()
    found.set(name, ofMetric)
    const key = JSON.stringify(labels)
    const series = ofMetric.get(key) ?? { labels, value: 0, changedAt: 0, buckets: [], fields: [] }
    ofMetric.set(key, series)
    series.fields.push(field)
    if (part === 'v') series.value = value
    else if (part === 't') series.changedAt = value
    else series.buckets[Number(part.slice(1))] = value
  }
  return found
}
