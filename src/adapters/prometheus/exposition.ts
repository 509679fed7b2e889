// The Prometheus text format (version 0.0.4).

import type { MetricDefinition } from './metric-definition.ts'
import type { Series } from './series.ts'

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** A series together with the register that it was read from. */
export interface WorkerSeries {
  readonly worker: string
  readonly series: Series
}

/** One metric with all its series, each with the label `worker`. Nothing for a metric without series. */
export function renderMetric(metric: MetricDefinition, all: readonly WorkerSeries[]): string {
  if (all.length === 0) return ''
  const lines = [`# HELP ${metric.name} ${escapeHelp(metric.help)}`, `# TYPE ${metric.name} ${metric.type}`]
  for (const { worker, series } of all) {
    const labels = [...metric.labels.map((label, i) => pair(label, series.labels[i] ?? '')), pair('worker', worker)]
    if (metric.type === 'histogram') renderHistogram(metric, labels, series, lines)
    else lines.push(`${metric.name}{${labels.join(',')}} ${number(series.value)}`)
  }
  return `${lines.join('\n')}\n`
}

function renderHistogram(metric: MetricDefinition, labels: readonly string[], series: Series, lines: string[]): void {
  let count = 0
  for (let i = 0; i <= metric.bounds.length; i++) {
    count += series.buckets[i] ?? 0
    const le = pair('le', number(metric.bounds[i] ?? Number.POSITIVE_INFINITY))
    lines.push(`${metric.name}_bucket{${[...labels, le].join(',')}} ${count}`)
  }
  lines.push(`${metric.name}_sum{${labels.join(',')}} ${number(series.value)}`)
  lines.push(`${metric.name}_count{${labels.join(',')}} ${count}`)
}

function pair(name: string, value: string): string {
  return `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function number(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}
