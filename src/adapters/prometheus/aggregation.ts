// Metrics added up before they are queued: of the reports of a parcel, one row a series.

import type { Aggregate, Aggregation, Aggregator } from '../../adapter-kit/aggregation.ts'
import type { CounterChange } from '../../adapter-kit/durable-counters.ts'
import { cutBatches } from '../../adapter-kit/exporter/cut-batches.ts'
import type { FieldValue, Instance } from '../../adapter-kit/instance.ts'
import type { MetricInstance } from '../../adapter-kit/templates.ts'
import type { AttributeValue } from '../../kernel/value.ts'
import type { PrometheusConfig } from './config.ts'
import { fieldOf, type MetricDefinition } from './metric-definition.ts'
import { labelsFor, MetricTable, numberFor } from './metric-table.ts'
import { changeOf, noNumbers, observe, type SeriesNumbers } from './series.ts'

/** Why an observation counts in no series. */
export type Skip = 'unknown-instance' | 'no-number' | 'negative-counter'

/** What a batch holds. Numbers that JSON does not know are texts. */
interface MetricSumsJson {
  /** Group of the metric's series; each row begins with its place here. */
  readonly groups: readonly string[]
  /** Series, by their labels: a row's second number is a place here. */
  readonly fields: readonly string[]
  readonly rows: readonly (readonly (number | string)[])[]
  readonly skipped: readonly (readonly [Skip, number])[]
}

/** A series of the parcel. */
interface Row {
  readonly metric: MetricDefinition
  readonly field: string
  readonly numbers: SeriesNumbers
  /** Instances that count with this row. */
  count: number
  isObserved: boolean
}

/** Rows of one batch at most. */
const MAX_ROWS = 1000
const BYTES_PER_NUMBER = 6

/** How a handler of these params adds metrics up. */
export function metricAggregation(config: PrometheusConfig): Aggregation {
  const table = new MetricTable(config)
  const fields = new FieldMemo()
  return { observed: 'value', open: () => new MetricSums(table, fields) }
}

/** Names of series by the dimensions that they come from: records that are alike have the same ones, and so have metrics. */
class FieldMemo {
  readonly #byDimensions = new WeakMap<object, Map<string, string>>()
  /** What metrics with the same labels have in common. */
  readonly #labels = new Map<MetricDefinition, string>()

  of(metric: MetricDefinition, instance: MetricInstance): string {
    const { dimensions } = instance.fields
    if (dimensions === undefined) return fieldOf(labelsFor(metric, instance))
    const known = this.#byDimensions.get(dimensions) ?? new Map<string, string>()
    this.#byDimensions.set(dimensions, known)
    let names = this.#labels.get(metric)
    if (names === undefined) this.#labels.set(metric, (names = metric.dimensions.join('\n')))
    let field = known.get(names)
    if (field === undefined) known.set(names, (field = fieldOf(labelsFor(metric, instance))))
    return field
  }
}

class MetricSums implements Aggregator<readonly Row[]> {
  readonly #table: MetricTable
  readonly #fields: FieldMemo
  /** Also by content: which instances are the same object hangs on what was remembered, and the batches must not. */
  readonly #rows = new Map<MetricDefinition, Map<string, Row>>()
  readonly #skipped = new Map<Skip, number>()
  /** Instances that count with no row. */
  #loose = 0

  constructor(table: MetricTable, fields: FieldMemo) {
    this.#table = table
    this.#fields = fields
  }

  series(instance: Instance): readonly Row[] {
    return this.#table.of(instance.name).map((metric) => {
      const field = this.#fields.of(metric, instance)
      const rows = this.#rows.get(metric) ?? new Map<string, Row>()
      this.#rows.set(metric, rows)
      const row = rows.get(field) ?? { metric, field, numbers: noNumbers(metric), count: 0, isObserved: false }
      rows.set(field, row)
      return row
    })
  }

  observe(rows: readonly Row[], value: FieldValue | undefined): void {
    const [first] = rows
    if (first === undefined) {
      this.#loose++
      this.#skip('unknown-instance')
      return
    }
    first.count++
    for (const row of rows) {
      const number = numberFor(row.metric, value as AttributeValue | undefined)
      if (typeof number === 'string') this.#skip(number)
      else {
        observe(row.metric, row.numbers, number)
        row.isObserved = true
      }
    }
  }

  take(): readonly Aggregate[] {
    const rows = [...this.#rows.values()].flatMap((byField) => [...byField.values()])
    const observed = rows.filter(({ isObserved }) => isObserved)
    let loose = this.#loose
    for (const { isObserved, count } of rows) if (!isObserved) loose += count
    const cut = cutBatches(observed, MAX_ROWS)
    const pieces = cut.length === 0 && loose > 0 ? [[]] : cut
    return pieces.map((piece, i) => (i === 0 ? pieceOf(piece, loose, [...this.#skipped]) : pieceOf(piece)))
  }

  #skip(reason: Skip): void {
    this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + 1)
  }
}

function pieceOf(rows: readonly Row[], loose = 0, skipped: MetricSumsJson['skipped'] = []): Aggregate {
  const groups = new Map<string, number>()
  const fields = new Map<string, number>()
  let count = loose
  let bytes = 0
  const json = rows.map(({ metric, field, numbers, count: instances }) => {
    count += instances
    bytes += BYTES_PER_NUMBER * (2 + numbers.length)
    return [placeOf(metric.group.name, groups), placeOf(field, fields), ...numbers.map(toJson)]
  })
  for (const field of fields.keys()) bytes += field.length
  const content: MetricSumsJson = { groups: [...groups.keys()], fields: [...fields.keys()], rows: json, skipped }
  return { count, content, bytes }
}

function placeOf(text: string, places: Map<string, number>): number {
  let place = places.get(text)
  if (place === undefined) places.set(text, (place = places.size))
  return place
}

function toJson(number: number): number | string {
  return Number.isFinite(number) ? number : String(number)
}

/** The changes that a batch means, and what it could not count. Series of metrics that were defined otherwise are none. */
export function readMetricSums(
  content: object,
  metrics: ReadonlyMap<string, MetricDefinition>,
): {
  readonly changes: readonly CounterChange[]
  readonly skipped: MetricSumsJson['skipped']
  readonly obsolete: number
} {
  const { groups, fields, rows, skipped } = content as MetricSumsJson
  const changes: CounterChange[] = []
  for (const [group = 0, field = 0, ...numbers] of rows) {
    const metric = metrics.get(groups[Number(group)] ?? '')
    if (metric !== undefined) changes.push(changeOf(metric, fields[Number(field)] ?? '', numbers.map(Number)))
  }
  return { changes, skipped, obsolete: rows.length - changes.length }
}
