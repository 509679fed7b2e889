// Metrics on prom-client: one registry per process, series resolved once, and a bound on how many series there can be.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { IntermixError } from '../kernel/errors.ts'
import type {
  Meter,
  MetricSpec,
  Counter as CounterPort,
  Gauge as GaugePort,
  Histogram as HistogramPort,
} from '../kernel/ports.ts'

const PREFIX = 'intermix_'

/** From 50 µs (an answer out of memory) to 10 s (a backend that has given up), for names in seconds. */
const SECONDS_BUCKETS = [
  0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]

const DEFAULT_MAX_SERIES = 2_000

/** What every label of the series is called that takes the values beyond the bound. */
const OVERFLOW_LABEL = 'overflow'

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

interface Series<T> {
  readonly kind: string
  readonly labels: string
  readonly resolve: (...labelValues: string[]) => T
}

class RegistryMeter implements PrometheusMeter {
  readonly #registry = new Registry()
  readonly #metrics = new Map<string, Series<unknown>>()
  readonly #maxSeries: number

  constructor({ maxSeries = DEFAULT_MAX_SERIES, processMetrics = true }: MeterOptions) {
    this.#maxSeries = maxSeries
    if (processMetrics) collectDefaultMetrics({ register: this.#registry })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  counter(spec: MetricSpec): (...labelValues: string[]) => CounterPort {
    return this.#metric(spec, 'counter', () => {
      const counter = new Counter(this.#configuration(spec))
      return (labelValues) => {
        const child = labelValues.length === 0 ? counter : counter.labels(...labelValues)
        // A series that starts at 0 lets rate() see its first increment.
        child.inc(0)
        return { add: (count = 1) => child.inc(count) }
      }
    })
  }

  gauge(spec: MetricSpec): (...labelValues: string[]) => GaugePort {
    return this.#metric(spec, 'gauge', () => {
      const gauge = new Gauge(this.#configuration(spec))
      return (labelValues) => {
        const child = labelValues.length === 0 ? gauge : gauge.labels(...labelValues)
        return { set: (value) => child.set(value) }
      }
    })
  }

  histogram(spec: MetricSpec): (...labelValues: string[]) => HistogramPort {
    return this.#metric(spec, 'histogram', () => {
      const buckets = [...(spec.buckets ?? SECONDS_BUCKETS)]
      const histogram = new Histogram({ ...this.#configuration(spec), buckets })
      return (labelValues) => {
        const child = labelValues.length === 0 ? histogram : histogram.labels(...labelValues)
        return { observe: (value) => child.observe(value) }
      }
    })
  }

  async render(): Promise<string> {
    return await this.#registry.metrics()
  }

  #configuration(spec: MetricSpec) {
    return {
      name: PREFIX + spec.name,
      help: spec.help,
      labelNames: [...(spec.labels ?? [])],
      registers: [this.#registry],
    }
  }

  #metric<T>(spec: MetricSpec, kind: string, create: () => (labelValues: readonly string[]) => T) {
    const labels = (spec.labels ?? []).join(',')
    const known = this.#metrics.get(spec.name)
    if (known === undefined) {
      const resolve = bounded({ spec, create: create(), maxSeries: this.#maxSeries })
      this.#metrics.set(spec.name, { kind, labels, resolve })
      return resolve
    }
    if (known.kind !== kind || known.labels !== labels) {
      throw new IntermixError(
        'INTERNAL',
        `metric ${spec.name} is a ${known.kind} with labels (${known.labels}), not a ${kind} with labels (${labels})`,
      )
    }
    return known.resolve as (...labelValues: string[]) => T
  }
}

interface BoundedOptions<T> {
  readonly spec: MetricSpec
  readonly create: (labelValues: readonly string[]) => T
  readonly maxSeries: number
}

/** Resolves label values to a series, the same one for the same values; beyond the bound, to the overflow series. */
function bounded<T>({ spec, create, maxSeries }: BoundedOptions<T>): (...labelValues: string[]) => T {
  const labels = spec.labels ?? []
  const series = new Map<string, T>()
  const overflow = labels.map(() => OVERFLOW_LABEL)
  return function resolve(...labelValues) {
    if (labelValues.length !== labels.length) {
      throw new IntermixError(
        'INTERNAL',
        `metric ${spec.name} takes ${labels.length} label values (${labels.join(', ')}), not ${labelValues.length}`,
      )
    }
    const key = JSON.stringify(labelValues)
    const known = series.get(key)
    if (known !== undefined) return known
    if (series.size >= maxSeries && key !== JSON.stringify(overflow)) return resolve(...overflow)
    const created = create(labelValues)
    series.set(key, created)
    return created
  }
}
