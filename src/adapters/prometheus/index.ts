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
import type { CounterChange } from '../../adapter-kit/durable-counters.ts'
import type { MetricInstance } from '../../adapter-kit/templates.ts'
import {
  PROMETHEUS_ADAPTER_EXCEPTIONS_TOTAL,
  PROMETHEUS_ADAPTER_SERIES,
  PROMETHEUS_ADAPTER_STALE_SECONDS,
} from '../../kernel/metrics/handlers.ts'
import type { LabelValue } from '../../kernel/metrics/metric.ts'
import { metricAggregation, readMetricSums } from './aggregation.ts'
import { type PrometheusConfig, prometheusConfig } from './config.ts'
import { Exposition } from './exposition.ts'
import { CONTENT_TYPE, ExpositionText } from './exposition-text.ts'
import { defineMetric } from './metric-definition.ts'
import { labelsFor, MetricTable, numberFor } from './metric-table.ts'
import { ChangeSet } from './series.ts'

/** After how long without a change the series of a definition that is no more are removed, and how often that is looked for. */
const OBSOLETE_MS = 24 * 3_600_000
const CHECK_EVERY_MS = 3_600_000

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
      const { definition, problems } = defineMetric(metric, config)
      issues.push(...problems.map(({ path, message }) => ({ path: ['metrics', i, ...path], message })))
      if (definition === undefined) continue
      if (names.has(definition.name)) {
        issues.push({ path: ['metrics', i, 'name'], message: `metric '${definition.name}' is defined twice` })
      }
      names.add(definition.name)
    }
    return issues
  },
  aggregation: (template, config) => (template === 'metric' ? metricAggregation(config) : undefined),
  create: (config, env) => new PrometheusHandler(config, env),
})

class PrometheusHandler implements Handler {
  readonly #env: AdapterEnvironment
  readonly #config: PrometheusConfig
  readonly #metrics: MetricTable
  readonly #skipped: (reason: LabelValue<typeof PROMETHEUS_ADAPTER_EXCEPTIONS_TOTAL, 'reason'>, count?: number) => void
  readonly report = {
    metric: (instances: readonly MetricInstance[], call: ReportContext) => this.#count(instances, call.batchId),
  }
  readonly aggregate = {
    metric: (content: object, call: ReportContext) => this.#addUp(content, call.batchId),
  }

  constructor(config: PrometheusConfig, env: AdapterEnvironment) {
    this.#env = env
    this.#config = config
    this.#metrics = new MetricTable(config)
    const skipped = env.meter.counter(PROMETHEUS_ADAPTER_EXCEPTIONS_TOTAL)
    this.#skipped = (reason, count) => skipped({ handler: env.handlerName, reason }).add(count)
  }

  start(): void {
    const { counters, clock, meter, handlerName: handler } = this.#env
    const { mixerText, metricsExpirationPolicy: policy } = this.#config
    const expiryMs = policy?.metricsExpiryDuration ?? Number.POSITIVE_INFINITY
    const series = meter.gauge(PROMETHEUS_ADAPTER_SERIES)({ handler })
    const stale = meter.gauge(PROMETHEUS_ADAPTER_STALE_SECONDS)({ handler })
    const exposition = new Exposition({
      metrics: mixerText ? this.#metrics.all.toSorted((a, b) => (a.name < b.name ? -1 : 1)) : this.#metrics.all,
      text: new ExpositionText(mixerText),
      counters,
      clock,
      expiryMs,
      onRendered: (count, staleMs) => {
        series.set(count)
        stale.set(staleMs / 1000)
      },
    })
    this.#env.expose('/metrics', CONTENT_TYPE, () => exposition.render())
    const checkEveryMs = policy === undefined ? CHECK_EVERY_MS : (policy.expiryCheckIntervalDuration ?? expiryMs / 2)
    this.#env.schedule(Math.max(1, checkEveryMs), () => this.#expire(expiryMs))
  }

  async #count(instances: readonly MetricInstance[], batchId: string): Promise<void> {
    const changes = new ChangeSet()
    for (const instance of instances) {
      const metrics = this.#metrics.of(instance.name)
      if (metrics.length === 0) this.#skipped('unknown-instance')
      for (const metric of metrics) {
        const value = numberFor(metric, instance.fields.value)
        if (typeof value === 'number') changes.observe(metric, labelsFor(metric, instance), value)
        else this.#skipped(value)
      }
    }
    await this.#apply(changes.changes, batchId)
  }

  async #addUp(content: object, batchId: string): Promise<void> {
    const { changes, skipped, obsolete } = readMetricSums(content, this.#metrics.byGroup)
    await this.#apply(changes, batchId)
    for (const [reason, count] of skipped) this.#skipped(reason, count)
    if (obsolete > 0) this.#skipped('obsolete-definition', obsolete)
  }

  async #apply(changes: readonly CounterChange[], batchId: string): Promise<void> {
    if (changes.length === 0) return
    const overflowed = await this.#env.counters.apply(batchId, changes)
    if (overflowed > 0) this.#skipped('cardinality', overflowed)
  }

  async #expire(expiryMs: number): Promise<void> {
    const groups = new Set(this.#metrics.all.map(({ group }) => group.name))
    const now = this.#env.clock.now()
    await this.#env.counters.forget(
      ({ group, changedAt }) => changedAt < now - (groups.has(group) ? expiryMs : OBSOLETE_MS),
    )
  }
}
