// Metrics on prom-client: one registry per process, series resolved once, and a bound on how many series there can be.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { IntermixError } from '../kernel/errors.ts'
import type { Children, CounterMetric, GaugeMetric, HistogramMetric, Labels, Metric } from '../kernel/metrics/metric.ts'
import type { Meter, Counter as CounterPort, Gauge as GaugePort, Histogram as HistogramPort } from '../kernel/ports.ts'
import { createChildren } from './metric-children.ts'

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
    if (processMetrics) collectDefaultMetrics({ register: this.#registry })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  counter<L extends Labels>(metric: CounterMetric<L>): Children<L, CounterPort> {
    return this.#childrenOf(metric, 'counter', () => {
      const counter = new Counter(this.#configuration(metric))
      return (labelValues) => {
        const child = labelValues.length === 0 ? counter : counter.labels(...labelValues)
        // A series that starts at 0 lets rate() see its first increment.
        child.inc(0)
        return { add: (count = 1) => child.inc(count) }
      }
    })
  }

  gauge<L extends Labels>(metric: GaugeMetric<L>): Children<L, GaugePort> {
    return this.#childrenOf(metric, 'gauge', () => {
      const gauge = new Gauge(this.#configuration(metric))
      return (labelValues) => {
        const child = labelValues.length === 0 ? gauge : gauge.labels(...labelValues)
        return { set: (value) => child.set(value) }
      }
    })
  }

  histogram<L extends Labels>(metric: HistogramMetric<L>): Children<L, HistogramPort> {
    return this.#childrenOf(metric, 'histogram', () => {
      const histogram = new Histogram({ ...this.#configuration(metric), buckets: [...metric.buckets] })
      return (labelValues) => {
        const child = labelValues.length === 0 ? histogram : histogram.labels(...labelValues)
        return { observe: (value) => child.observe(value) }
      }
    })
  }

  async render(): Promise<string> {
    return await this.#registry.metrics()
  }

  #configuration({ name, help, labels }: Metric) {
    return { name: PREFIX + name, help, labelNames: Object.keys(labels), registers: [this.#registry] }
  }

  /** The children of a metric, which is registered when it is first asked for. */
  #childrenOf<L extends Labels, T>(
    metric: Metric<L>,
    type: Metric['type'],
    register: () => (labelValues: readonly string[]) => T,
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
    const children = createChildren({ metric, create: register(), max: this.#maxSeries })
    this.#metrics.set(metric.name, { metric, children })
    return children
  }
}

/** What has to be equal in two definitions of one metric. */
function shape({ type, labels }: Metric): string {
  return `${type} with labels (${Object.keys(labels).join(', ')})`
}
