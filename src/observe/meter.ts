// Metrics on prom-client: one registry per process, series resolved once, and a bound on how many series there can be.

import type { Metric as RegisteredMetric } from 'prom-client'
import Registry from 'prom-client/lib/registry.js'
import { IntermixError } from '../kernel/errors.ts'
import type { Children, CounterMetric, GaugeMetric, HistogramMetric, Labels, Metric } from '../kernel/metrics/metric.ts'
import type { Counter, Gauge, Histogram, Meter } from '../kernel/ports.ts'
import { createChildren } from './metric-children.ts'
import type { MetricsSnapshot } from './merged-metrics.ts'
import { addProcessMetrics } from './process-metrics.ts'
import { HistogramSeries, type LabelValues, NumberSeries, type Series, SeriesMetric } from './metric-series.ts'

const PREFIX = 'intermix_'

const DEFAULT_MAX_SERIES = 2_000

export interface MeterOptions {
  /** Bound on the series of one metric; further label values share one series labelled `overflow`. Default 2 000. */
  readonly maxSeries?: number
  /** Whether to add the metrics of the process (CPU, memory, event loop, garbage collection). Default true. */
  readonly processMetrics?: boolean
}

/** The meter of a process, with its exposition. */
export interface PrometheusMeter extends Meter {
  readonly contentType: string
  /** All metrics in the Prometheus text format. */
  render(): Promise<string>
  /** All metrics as data, for `merged-metrics.ts`. */
  snapshot(): Promise<MetricsSnapshot>
}

/** Creates a meter with a registry of its own. Metric names get the prefix `intermix_`, those of the process do not. */
export function createMeter(options: MeterOptions = {}): PrometheusMeter {
  return new RegistryMeter(options)
}

interface KnownMetric {
  readonly metric: Metric
  readonly children: unknown
}

class RegistryMeter implements PrometheusMeter {
  readonly #registry = new Registry()
  readonly #metrics = new Map<string, KnownMetric>()
  readonly #maxSeries: number

  constructor({ maxSeries = DEFAULT_MAX_SERIES, processMetrics = true }: MeterOptions) {
    this.#maxSeries = maxSeries
    if (processMetrics) addProcessMetrics(this.#registry)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  counter<L extends Labels>(metric: CounterMetric<L>): Children<L, Counter> {
    return this.#childrenOf(metric, 'counter', (labels) => new NumberSeries(labels))
  }

  gauge<L extends Labels>(metric: GaugeMetric<L>): Children<L, Gauge> {
    return this.#childrenOf(metric, 'gauge', (labels) => new NumberSeries(labels))
  }

  histogram<L extends Labels>(metric: HistogramMetric<L>): Children<L, Histogram> {
    return this.#childrenOf(metric, 'histogram', (labels) => new HistogramSeries(labels, metric))
  }

  async render(): Promise<string> {
    return await this.#registry.metrics()
  }

  async snapshot(): Promise<MetricsSnapshot> {
    return (await this.#registry.getMetricsAsJSON()) as unknown as MetricsSnapshot
  }

  /** The children of a metric, which is registered when it is first asked for. */
  #childrenOf<L extends Labels, T extends Series>(
    metric: Metric<L>,
    type: Metric['type'],
    create: (labels: LabelValues) => T,
  ): Children<L, T> {
    const known = this.#metrics.get(metric.name)
    // Adapters of others bring metrics of their own, which this compiler has not seen.
    if (metric.type !== type) {
      throw new IntermixError(
        'INTERNAL',
        `metric ${metric.name} is not defined as a ${type}; do so with ${type}Metric(…)`,
      )
    }
    if (known !== undefined) {
      if (shape(known.metric) === shape(metric)) return known.children as Children<L, T>
      throw new IntermixError('INTERNAL', `metric ${metric.name} is a ${shape(known.metric)}, not a ${shape(metric)}`)
    }
    refuseUnscrapable(metric)
    const registered = new SeriesMetric(PREFIX + metric.name, metric)
    this.#registry.registerMetric(registered as unknown as RegisteredMetric)
    const add = (labelValues: readonly string[]) => registered.add(labelValues, create)
    const children = createChildren({ metric, create: add, max: this.#maxSeries })
    this.#metrics.set(metric.name, { metric, children })
    return children
  }
}

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/

/** Adapters of others bring their own: one wrong name, and Prometheus would take none of the metrics. */
function refuseUnscrapable(metric: Metric & { readonly buckets?: readonly number[] }): void {
  const { name, type, labels, buckets = [] } = metric
  const refuse = (what: string) => new IntermixError('INTERNAL', `metric ${name}: ${what}`)
  if (!METRIC_NAME.test(PREFIX + name)) throw refuse('its name must be letters, digits and _')
  const wrong = Object.keys(labels).find((label) => !LABEL_NAME.test(label) || (type === 'histogram' && label === 'le'))
  if (wrong !== undefined) throw refuse(`${JSON.stringify(wrong)} cannot be the name of a label`)
  const isAscending = buckets.every((bound, at) => Number.isFinite(bound) && bound > (buckets[at - 1] ?? -Infinity))
  if (!isAscending) throw refuse('its buckets must be numbers, each above the one before')
}

/** What has to be equal in two definitions of one metric. */
function shape({ type, labels }: Metric): string {
  return `${type} with labels (${Object.keys(labels).join(', ')})`
}
