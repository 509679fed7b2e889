// The series of metrics, counted here and shown by prom-client's registry: its own take ten times as long per observation,
// since they look their labels up and check them each time.

import { IntermixError } from '../kernel/errors.ts'
import type { GaugeMerge, HistogramMetric, Metric } from '../kernel/metrics/metric.ts'
import type { Counter, Gauge, Histogram } from '../kernel/ports.ts'

export type LabelValues = Readonly<Record<string, string | number>>

/** One line of the exposition, as prom-client takes it. */
interface ShownValue {
  readonly metricName: string
  readonly labels: LabelValues
  readonly value: number
}

export interface Series {
  shown(name: string): readonly ShownValue[]
}

/** A metric with its series, as prom-client's registry takes one. */
export class SeriesMetric {
  readonly name: string
  readonly help: string
  readonly type: Metric['type']
  /** How the values of several processes of a node are merged, in prom-client's words. */
  readonly aggregator: GaugeMerge
  readonly #labels: readonly string[]
  readonly #series: Series[] = []

  constructor(name: string, metric: Metric & { readonly merge?: GaugeMerge }) {
    const { help, type, labels, merge = 'sum' } = metric
    this.name = name
    this.help = help
    this.type = type
    this.aggregator = merge
    this.#labels = Object.keys(labels)
  }

  /** Adds the series of these label values, which come in the order of the metric's labels. */
  add<S extends Series>(labelValues: readonly string[], create: (labels: LabelValues) => S): S {
    const series = create(Object.fromEntries(this.#labels.map((label, at) => [label, labelValues[at] ?? ''])))
    this.#series.push(series)
    return series
  }

  async get() {
    const { name, help, type, aggregator } = this
    return { name, help, type, aggregator, values: this.#series.flatMap((series) => series.shown(name)) }
  }
}

/** A number that grows (a counter), or is set (a gauge). */
export class NumberSeries implements Series, Counter, Gauge {
  readonly #labels: LabelValues
  #value = 0

  constructor(labels: LabelValues) {
    this.#labels = labels
  }

  add(count = 1): void {
    if (!(count >= 0 && count < Number.POSITIVE_INFINITY)) throw noNumber(count)
    this.#value += count
  }

  set(value: number): void {
    this.#value = value
  }

  shown(metricName: string): readonly ShownValue[] {
    return [{ metricName, labels: this.#labels, value: this.#value }]
  }
}

export class HistogramSeries implements Series, Histogram {
  readonly #labels: LabelValues
  readonly #bounds: readonly number[]
  /** By bucket, the one beyond the last bound included. */
  readonly #counts: number[]
  #sum = 0

  constructor(labels: LabelValues, { buckets }: HistogramMetric) {
    this.#labels = labels
    this.#bounds = buckets
    this.#counts = Array.from({ length: buckets.length + 1 }, () => 0)
  }

  observe(value: number): void {
    if (!Number.isFinite(value)) throw noNumber(value)
    const bounds = this.#bounds
    let bucket = 0
    while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket++
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1
    this.#sum += value
  }

  shown(name: string): readonly ShownValue[] {
    let count = 0
    const buckets = this.#counts.map((own, at) => {
      count += own
      return { metricName: `${name}_bucket`, labels: { le: this.#bounds[at] ?? '+Inf', ...this.#labels }, value: count }
    })
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels: this.#labels, value: this.#sum },
      { metricName: `${name}_count`, labels: this.#labels, value: count },
    ]
  }
}

function noNumber(value: number): IntermixError {
  return new IntermixError('INTERNAL', `${value} cannot be counted or observed`)
}
