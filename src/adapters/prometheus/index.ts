// Adapter `prometheus`: counts metric instances and exposes them for Prometheus to pull.
//
// The numbers live in durable counters, so that a worker may die at any moment without a count being lost or doubled.

import {
  type AdapterEnvironment,
  type ConfigIssue,
  defineAdapter,
  type Handler,
  type ReportContext,
} from '../../adapter-kit/define-adapter.ts'
import type { MetricInstance } from '../../adapter-kit/templates.ts'
import { valueToText } from '../../adapter-kit/value-text.ts'
import { PROMETHEUS_ADAPTER_EXCEPTIONS_TOTAL } from '../../kernel/metrics/handlers.ts'
import type { LabelValue } from '../../kernel/metrics/metric.ts'
import { Duration } from '../../kernel/time.ts'
import type { AttributeValue } from '../../kernel/value.ts'
import { type PrometheusConfig, prometheusConfig } from './config.ts'
import { CONTENT_TYPE, renderMetric, type WorkerSeries } from './exposition.ts'
import { defineMetric, type MetricDefinition } from './metric-definition.ts'
import { ChangeSet, fieldOf, readRegister } from './series.ts'

const OVERFLOW = 'overflow'

export default defineAdapter({
  name: 'prometheus',
  description: 'Exposes metrics for Prometheus to pull; counts stay exact when workers die.',
  templates: ['metric'],
  config: prometheusConfig,
  doesIo: true,
  validate(config) {
    const issues: ConfigIssue[] = []
    const names = new Set<string>()
    for (const [i, metric] of config.metrics.entries()) {
      const { definition, problems } = defineMetric(metric)
      issues.push(...problems.map(({ path, message }) => ({ path: ['metrics', i, ...path], message })))
      if (definition === undefined) continue
      if (names.has(definition.name)) {
        issues.push({ path: ['metrics', i, 'name'], message: `metric '${definition.name}' is defined twice` })
      }
      names.add(definition.name)
    }
    return issues
  },
  create: (config, env) => new PrometheusHandler(config, env),
})

class PrometheusHandler implements Handler {
  readonly #env: AdapterEnvironment
  readonly #metrics = new Map<string, MetricDefinition>()
  readonly #byInstance = new Map<string, MetricDefinition[]>()
  /** Label sets seen by this worker, by metric. */
  readonly #known = new Map<string, Set<string>>()
  readonly #expiryMs: number | undefined
  readonly #checkEveryMs: number
  readonly #skipped: (reason: LabelValue<typeof PROMETHEUS_ADAPTER_EXCEPTIONS_TOTAL, 'reason'>) => void
  readonly report = {
    metric: (instances: readonly MetricInstance[], call: ReportContext) => this.#count(instances, call.batchId),
  }

  constructor(config: PrometheusConfig, env: AdapterEnvironment) {
    this.#env = env
    for (const metric of config.metrics) {
      const { definition } = defineMetric(metric)
      if (definition === undefined) continue
      const { name, instanceName } = definition
      this.#metrics.set(name, definition)
      this.#known.set(name, new Set())
      this.#byInstance.set(instanceName, [...(this.#byInstance.get(instanceName) ?? []), definition])
    }
    const skipped = env.meter.counter(PROMETHEUS_ADAPTER_EXCEPTIONS_TOTAL)
    this.#skipped = (reason) => skipped({ handler: env.handlerName, reason }).add()
    const policy = config.metricsExpirationPolicy
    this.#expiryMs = policy?.metricsExpiryDuration
    this.#checkEveryMs = policy?.expiryCheckIntervalDuration ?? (this.#expiryMs ?? 0) / 2
  }

  start(): void {
    this.#env.expose('/metrics', CONTENT_TYPE, () => this.#render())
    if (this.#expiryMs !== undefined) this.#env.schedule(Math.max(1, this.#checkEveryMs), () => this.#expire())
  }

  async #count(instances: readonly MetricInstance[], batchId: string): Promise<void> {
    const changes = new ChangeSet()
    for (const { name, fields } of instances) {
      const metrics = this.#metricsOf(name)
      if (metrics.length === 0) this.#skipped('unknown-instance')
      for (const metric of metrics) {
        const value = numberOf(fields.value)
        if (value === undefined) {
          this.#skipped('no-number')
          continue
        }
        if (metric.type === 'counter' && value < 0) {
          this.#skipped('negative-counter')
          continue
        }
        const dimensions = fields.dimensions ?? {}
        const labels = metric.dimensions.map((dimension) => textOf(dimensions[dimension]))
        changes.observe(metric, this.#bounded(metric, labels), value, this.#env.clock.now())
      }
    }
    if (changes.changes.length > 0) await this.#env.counters.apply(batchId, changes.changes)
  }

  /** By full name, or by the part before the first dot, as operators often write it. */
  #metricsOf(instance: string): readonly MetricDefinition[] {
    return this.#byInstance.get(instance) ?? this.#byInstance.get(instance.split('.', 1)[0] ?? '') ?? []
  }

  #bounded(metric: MetricDefinition, labels: readonly string[]): readonly string[] {
    const known = this.#known.get(metric.name) ?? new Set()
    const key = JSON.stringify(labels)
    if (known.has(key)) return labels
    if (known.size >= metric.cardinalityLimit) {
      this.#skipped('cardinality')
      return metric.labels.map(() => OVERFLOW)
    }
    known.add(key)
    return labels
  }

  async #render(): Promise<string> {
    const oldest = this.#expiryMs === undefined ? Number.NEGATIVE_INFINITY : this.#env.clock.now() - this.#expiryMs
    const all = new Map<string, WorkerSeries[]>()
    for (const [worker, fields] of await this.#env.counters.registers()) {
      for (const [name, byLabels] of readRegister(fields, this.#metrics)) {
        const fresh = [...byLabels.values()].filter((series) => series.changedAt >= oldest)
        all.set(name, [...(all.get(name) ?? []), ...fresh.map((series) => ({ worker, series }))])
      }
    }
    return [...this.#metrics.values()].map((metric) => renderMetric(metric, all.get(metric.name) ?? [])).join('')
  }

  async #expire(): Promise<void> {
    const { counters, clock } = this.#env
    if (counters.forget === undefined || this.#expiryMs === undefined) return
    const oldest = clock.now() - this.#expiryMs
    for (const [register, fields] of await counters.registers()) {
      for (const [name, byLabels] of readRegister(fields, this.#metrics)) {
        const metric = this.#metrics.get(name)
        if (metric === undefined) continue
        for (const [key, series] of byLabels) {
          if (series.changedAt >= oldest) continue
          const guard = { field: fieldOf(metric, 't', series.labels), value: series.changedAt }
          await counters.forget(register, guard, series.fields)
          this.#known.get(name)?.delete(key)
        }
      }
    }
  }
}

/** Durations count in seconds, text is read as a number, and no other type has a number. */
function numberOf(value: AttributeValue | undefined): number | undefined {
  if (typeof value === 'bigint') return Number(value)
  if (value instanceof Duration) return Number(value.nanos) / 1e9
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof number === 'number' && !Number.isNaN(number) ? number : undefined
}

function textOf(value: AttributeValue | undefined): string {
  return value === undefined ? '' : valueToText(value)
}
