// The Prometheus text format (version 0.0.4): labels and numbers of one series, as we write them or as Mixer did.

import { shownNumbers } from '../../adapter-kit/counter-register.ts'
import type { CounterEntry } from '../../adapter-kit/durable-counters.ts'
import { goNumber } from './go-number.ts'
import { labelsOf, type MetricDefinition } from './metric-definition.ts'

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export class ExpositionText {
  readonly #number: (value: number) => string
  readonly #mixerText: boolean
  /** `le="…"` by metric: they are the same for all its series. */
  readonly #bounds = new Map<MetricDefinition, readonly string[]>()

  constructor(mixerText: boolean) {
    this.#mixerText = mixerText
    this.#number = mixerText ? goNumber : plainNumber
  }

  head({ name, help, type }: MetricDefinition): string {
    return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`
  }

  /**
   * The labels of a series. In Mixer's way they are sorted, and the first register has no label `worker`: with one worker
   * the text is Mixer's, and a second worker changes no series that is there.
   */
  labels(metric: MetricDefinition, field: string, register: string): string {
    const values = labelsOf(field)
    const pairs = metric.labels.map((label, i) => [label, values[i] ?? ''] as const)
    const all = this.#mixerText && register === '0' ? pairs : [...pairs, ['worker', register] as const]
    if (this.#mixerText) all.sort(([a], [b]) => (a < b ? -1 : 1))
    return all.map(([label, value]) => pair(label, value)).join(',')
  }

  /** All lines of a series. */
  lines(metric: MetricDefinition, labels: string, entry: CounterEntry): string {
    const numbers = shownNumbers(entry)
    const { name } = metric
    const inBraces = labels === '' ? '' : `{${labels}}`
    const value = this.#number(numbers[0] ?? 0)
    if (metric.type !== 'histogram') return `${name}${inBraces} ${value}\n`
    const start = `${name}_bucket{${labels === '' ? '' : `${labels},`}`
    let count = 0
    let text = ''
    for (const [i, le] of this.#boundsOf(metric).entries()) {
      count += numbers[i + 1] ?? 0
      text += `${start}${le}} ${this.#number(count)}\n`
    }
    return `${text}${name}_sum${inBraces} ${value}\n${name}_count${inBraces} ${this.#number(count)}\n`
  }

  #boundsOf(metric: MetricDefinition): readonly string[] {
    let bounds = this.#bounds.get(metric)
    if (bounds === undefined) {
      bounds = [...metric.bounds, Number.POSITIVE_INFINITY].map((bound) => pair('le', this.#number(bound)))
      this.#bounds.set(metric, bounds)
    }
    return bounds
  }
}

function pair(name: string, value: string): string {
  return `${name}="${/["\\\n]/.test(value) ? escapeValue(value) : value}"`
}

function escapeValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function plainNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}
