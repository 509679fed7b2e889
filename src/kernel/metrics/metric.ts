// What a metric is. All metrics of this program are entries of the catalogue, the files beside this one; nothing else can
// be given to a `Meter`.

/** A label: the values that it can have, or a few words on them where nobody here can list them. */
export type Label = readonly string[] | string

/** Labels by name, in the order in which they are shown. */
export type Labels = Readonly<Record<string, Label>>

/** Those of a metric that has none. */
export type NoLabels = Readonly<Record<string, never>>

/** Holds what only `define.ts` makes apart from objects that look the same. */
declare const defined: unique symbol

/** What all kinds of metric have. */
export interface Metric<L extends Labels = Labels> {
  readonly [defined]: true
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** Prometheus name without the `intermix_` prefix. */
  readonly name: string
  /** `seconds`, `bytes`, what is counted (`checks`), or what a number says (`0 or 1`). */
  readonly unit: string
  readonly help: string
  readonly labels: L
}

export interface CounterMetric<L extends Labels = Labels> extends Metric<L> {
  readonly type: 'counter'
}

/** How a gauge of several processes of one node becomes one: what is worse counts, or all together. */
export type GaugeMerge = 'sum' | 'max' | 'min'

export interface GaugeMetric<L extends Labels = Labels> extends Metric<L> {
  readonly type: 'gauge'
  readonly merge: GaugeMerge
}

export interface HistogramMetric<L extends Labels = Labels> extends Metric<L> {
  readonly type: 'histogram'
  /** Upper bounds, ascending, in the metric's unit. */
  readonly buckets: readonly number[]
}

/** Values of one label: those that it lists, else any text. */
type ValuesOf<K extends Label> = K extends readonly (infer Value extends string)[] ? Value : string

/** The values of a metric's label. */
export type LabelValue<M extends Metric, Name extends keyof M['labels']> = ValuesOf<M['labels'][Name]>

/** A value for each label. */
export type LabelValues<L extends Labels> = { readonly [Name in keyof L]: ValuesOf<L[Name]> }

/** Gives the one child of a metric that has these label values; a metric without labels has one child, and takes none. */
export type Children<L extends Labels, Child> = (...values: L extends NoLabels ? [] : [LabelValues<L>]) => Child
