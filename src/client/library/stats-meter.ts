// Counts what the library does, for whoever asks: without a registry and without anything that scrapes it.

import type {
  Children,
  CounterMetric,
  GaugeMetric,
  HistogramMetric,
  Labels,
  Metric,
} from '../../kernel/metrics/metric.ts'
import type { Counter, Gauge, Histogram, Meter } from '../../kernel/ports.ts'

/** Series of all metrics together; what is counted under further label values is left out. */
const MAX_SERIES = 1_000

class Figure implements Counter, Gauge {
  value = 0

  add(count = 1): void {
    this.value += count
  }

  set(value: number): void {
    this.value = value
  }
}

export class StatsMeter implements Meter {
  readonly #figures = new Map<string, Figure>()

  counter<L extends Labels>(metric: CounterMetric<L>): Children<L, Counter> {
    return this.#children(metric, (name) => this.#figure(name))
  }

  gauge<L extends Labels>(metric: GaugeMetric<L>): Children<L, Gauge> {
    return this.#children(metric, (name) => this.#figure(name))
  }

  histogram<L extends Labels>(metric: HistogramMetric<L>): Children<L, Histogram> {
    return this.#children(metric, (name) => {
      const sum = this.#figure(`${name}_sum`)
      const count = this.#figure(`${name}_count`)
      return {
        observe(value) {
          sum.add(value)
          count.add()
        },
      }
    })
  }

  /** All figures by name and label values, such as `first_level_checks_total{answer="kept"}`. */
  figures(): Readonly<Record<string, number>> {
    return Object.fromEntries(Array.from(this.#figures, ([name, { value }]) => [name, value]))
  }

  #children<L extends Labels, T>({ name, labels }: Metric<L>, child: (series: string) => T): Children<L, T> {
    return (given: Readonly<Record<string, string>> = {}) => {
      const values = Object.keys(labels).map((label) => `${label}=${JSON.stringify(given[label])}`)
      return child(values.length === 0 ? name : `${name}{${values.join()}}`)
    }
  }

  #figure(name: string): Figure {
    let figure = this.#figures.get(name)
    if (figure === undefined) {
      figure = new Figure()
      if (this.#figures.size < MAX_SERIES) this.#figures.set(name, figure)
    }
    return figure
  }
}
