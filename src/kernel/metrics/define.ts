// Makes entries of the catalogue. Only the catalogue imports this file, and the adapter kit for adapters of others: the
// layer rules see to it, so that there is one place to look for a metric.

import type { CounterMetric, GaugeMetric, HistogramMetric, Labels, Metric, NoLabels } from './metric.ts'

/** What an entry says; labels default to none. */
type Definition<L extends Labels> = Pick<Metric, 'name' | 'unit' | 'help'> & { readonly labels?: L }

/** A count since the process began; its name ends in `_total`. */
export function counter<const L extends Labels = NoLabels>(definition: Definition<L>): CounterMetric<L> {
  return Object.freeze({ labels: {}, ...definition, type: 'counter' }) as unknown as CounterMetric<L>
}

/** A value that goes up and down. The values of several processes of a node are summed unless it says otherwise. */
export function gauge<const L extends Labels = NoLabels>(
  definition: Definition<L> & Partial<Pick<GaugeMetric, 'merge'>>,
): GaugeMetric<L> {
  return Object.freeze({ labels: {}, merge: 'sum', ...definition, type: 'gauge' }) as unknown as GaugeMetric<L>
}

/** Values sorted into buckets. */
export function histogram<const L extends Labels = NoLabels>(
  definition: Definition<L> & Pick<HistogramMetric, 'buckets'>,
): HistogramMetric<L> {
  return Object.freeze({ labels: {}, ...definition, type: 'histogram' }) as unknown as HistogramMetric<L>
}
