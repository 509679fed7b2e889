// The metrics of a handler by the instances that they count, and how an instance becomes labels and a number.

import type { MetricInstance } from '../../adapter-kit/templates.ts'
import { valueToText } from '../../adapter-kit/value-text.ts'
import { Duration } from '../../kernel/time.ts'
import type { AttributeValue } from '../../kernel/value.ts'
import type { PrometheusConfig } from './config.ts'
import { defineMetric, type MetricDefinition } from './metric-definition.ts'

export class MetricTable {
  readonly all: readonly MetricDefinition[]
  /** By the name of the group of its series. */
  readonly byGroup: ReadonlyMap<string, MetricDefinition>
  readonly #byInstance = new Map<string, MetricDefinition[]>()

  /** What has problems is left out: `validate` has told of it. */
  constructor(config: PrometheusConfig) {
    this.all = config.metrics.flatMap((metric) => defineMetric(metric, config).definition ?? [])
    this.byGroup = new Map(this.all.map((metric) => [metric.group.name, metric]))
    for (const metric of this.all) {
      this.#byInstance.set(metric.instanceName, [...(this.#byInstance.get(metric.instanceName) ?? []), metric])
    }
  }

  /** By full name, or by the part before the first dot, as operators often write it. */
  of(instance: string): readonly MetricDefinition[] {
    return this.#byInstance.get(instance) ?? this.#byInstance.get(instance.split('.', 1)[0] ?? '') ?? []
  }
}

/** The label values of an instance, in the order of the metric's labels; an absent dimension is empty. */
export function labelsFor(metric: MetricDefinition, { fields }: MetricInstance): readonly string[] {
  const dimensions = fields.dimensions ?? {}
  return metric.dimensions.map((dimension) => {
    const value = dimensions[dimension]
    return value === undefined ? '' : valueToText(value)
  })
}

/** The number of an instance's value, or why it cannot be counted. Durations are in seconds, text is read as a number. */
export function numberFor(
  metric: MetricDefinition,
  value: AttributeValue | undefined,
): number | 'no-number' | 'negative-counter' {
  const number = asNumber(value)
  if (number === undefined) return 'no-number'
  return metric.type === 'counter' && number < 0 ? 'negative-counter' : number
}

function asNumber(value: AttributeValue | undefined): number | undefined {
  if (typeof value === 'bigint') return Number(value)
  if (value instanceof Duration) return Number(value.nanos) / 1e9
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof number === 'number' && !Number.isNaN(number) ? number : undefined
}
