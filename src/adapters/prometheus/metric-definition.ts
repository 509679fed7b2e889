// A metric as it is exposed: its names made valid, its buckets computed.

import { createHash } from 'node:crypto'
import type { ConfigIssue } from '../../adapter-kit/define-adapter.ts'
import type { CounterGroup } from '../../adapter-kit/durable-counters.ts'
import { parseJson } from '../../kernel/parse-json.ts'
import type { MetricConfig, PrometheusConfig } from './config.ts'

export interface MetricDefinition {
  /** Full name, such as `istio_requests_total`. */
  readonly name: string
  readonly help: string
  readonly type: 'gauge' | 'counter' | 'histogram'
  readonly instanceName: string
  /** Dimensions, in the order of the labels. */
  readonly dimensions: readonly string[]
  readonly labels: readonly string[]
  /** Upper bounds without +Inf; empty unless a histogram. */
  readonly bounds: readonly number[]
  /** Where its series are counted. Another one when numbers kept under an older definition have lost their meaning. */
  readonly group: CounterGroup
}

/** What all metrics of a handler have in common. */
export type MetricDefaults = Pick<PrometheusConfig, 'mixerText' | 'maxBytes'>

const OVERFLOW = 'overflow'

const TYPES = { UNSPECIFIED: undefined, GAUGE: 'gauge', COUNTER: 'counter', DISTRIBUTION: 'histogram' } as const
// Bounds that the Prometheus client of Mixer's time used where none were given.
const DEFAULT_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Reads a metric's config. Without a definition there is at least one issue, its path relative to the metric. */
export function defineMetric(
  config: MetricConfig,
  { mixerText, maxBytes }: MetricDefaults,
): { definition?: MetricDefinition; problems: ConfigIssue[] } {
  const validName = mixerText ? mixerName : usualName
  const problems: ConfigIssue[] = []
  const type = TYPES[config.kind]
  if (type === undefined) problems.push({ path: ['kind'], message: 'must be GAUGE, COUNTER or DISTRIBUTION' })
  const chosen = Object.values(config.buckets ?? {}).filter((value) => value !== undefined)
  if (chosen.length > 1) {
    problems.push({ path: ['buckets'], message: 'takes one of linearBuckets, exponentialBuckets and explicitBuckets' })
  }
  if (config.buckets !== undefined && type !== 'histogram') {
    problems.push({ path: ['buckets'], message: 'belong to kind DISTRIBUTION only' })
  }
  const bounds = type === 'histogram' ? boundsOf(config) : []
  if (bounds.some((bound, i) => !Number.isFinite(bound) || (i > 0 && bound <= (bounds[i - 1] ?? bound)))) {
    problems.push({ path: ['buckets'], message: 'must have finite bounds, each larger than the one before' })
  }
  const labels = config.labelNames.map(validName)
  for (const [i, label] of labels.entries()) {
    if (labels.indexOf(label) < i) problems.push({ path: ['labelNames', i], message: `label '${label}' stands twice` })
    if (label === 'worker' || label === 'le' || label.startsWith('__')) {
      problems.push({
        path: ['labelNames', i],
        message: `label '${label}' is reserved; give the dimension another name`,
      })
    }
  }
  if (type === undefined || problems.length > 0) return { problems }
  const namespace = mixerText && config.namespace === '' ? 'istio' : config.namespace
  const parts = [namespace, config.name ?? config.instanceName].filter((part) => part !== '')
  const name = usualName(parts.map((part) => (mixerText ? mixerName(part) : part)).join('_'))
  const digest = createHash('sha256')
    .update(JSON.stringify([type, labels, bounds]))
    .digest('hex')
    .slice(0, 8)
  const { description, instanceName, labelNames, cardinalityLimit } = config
  const help = description !== '' ? description : mixerText ? (config.name ?? instanceName) : name
  const overflow = fieldOf(labels.map(() => OVERFLOW))
  const group = { name: `${name}:${digest}`, maxFields: cardinalityLimit, overflow, maxBytes }
  return { definition: { name, help, type, instanceName, dimensions: labelNames, labels, bounds, group }, problems }
}

/** The field of a series, which `labelsOf` reads again. */
export function fieldOf(labels: readonly string[]): string {
  return JSON.stringify(labels)
}

export function labelsOf(field: string): readonly string[] {
  return parseJson(field) as string[]
}

function boundsOf({ buckets }: MetricConfig): readonly number[] {
  if (buckets?.explicitBuckets !== undefined) return buckets.explicitBuckets.bounds
  if (buckets?.linearBuckets !== undefined) {
    // As in Google's distributions: n finite buckets have n + 1 bounds.
    const { numFiniteBuckets, width, offset } = buckets.linearBuckets
    return Array.from({ length: numFiniteBuckets + 1 }, (_, i) => offset + width * i)
  }
  if (buckets?.exponentialBuckets !== undefined) {
    const { numFiniteBuckets, growthFactor, scale } = buckets.exponentialBuckets
    return Array.from({ length: numFiniteBuckets + 1 }, (_, i) => scale * growthFactor ** i)
  }
  return DEFAULT_BOUNDS
}

/** A name with `_` for each character that Prometheus does not allow. */
function usualName(text: string): string {
  const name = text.replace(/[^A-Za-z0-9_]/g, '_')
  return /^\d/.test(name) ? `_${name}` : name
}

/** The same as Mixer had it: without hyphens, and without a leading `/`. */
function mixerName(text: string): string {
  return usualName(text.replace(/^\//, '').replaceAll('-', ''))
}
