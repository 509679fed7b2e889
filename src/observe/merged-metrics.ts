// One answer to a scrape for all processes of a node. Counts only grow, also when a process ends or does not answer: a count
// that fell would look to Prometheus as if it had begun anew, and what it has now would be counted a second time.

import { AggregatorRegistry } from 'prom-client'

/** One metric of one process, as prom-client hands it on. */
interface MetricData {
  readonly name: string
  readonly type: string
  readonly aggregator: string
  readonly values: readonly ValueData[]
}

interface ValueData {
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/** All metrics of one process. */
export type MetricsSnapshot = readonly MetricData[]

/** What means something only of each process: its processor time, memory, files, and how late its loop is. */
const OF_EACH = /^(process_|nodejs_eventloop_lag)/
const START_TIME = 'process_start_time_seconds'

export class MergedMetrics {
  /** The newest counts of each process that runs. */
  readonly #counts = new Map<string, MetricsSnapshot>()
  /** Of all that have ended. */
  #ended: MetricsSnapshot = []

  /** Keeps the counts of a process that has ended. */
  end(process: string): void {
    const counts = this.#counts.get(process)
    if (counts === undefined) return
    this.#counts.delete(process)
    this.#ended = sumOf([this.#ended, counts])
  }

  /**
   * @param fresh what processes say now. Of the others the last counts are taken, and no gauges.
   * @param own metrics of the process that asks.
   * @returns the Prometheus text format.
   */
  async render(fresh: ReadonlyMap<string, MetricsSnapshot>, own: MetricsSnapshot): Promise<string> {
    const marked = new Map([...fresh].map(([process, snapshot]) => [process, ofProcess(snapshot, process)]))
    const silent = [...this.#counts].filter(([process]) => !marked.has(process)).map(([, counts]) => counts)
    for (const [process, snapshot] of marked) this.#counts.set(process, snapshot.filter(isCount))
    const all = [ofProcess(own, 'parent', START_TIME), ...marked.values(), ...silent, this.#ended]
    return await AggregatorRegistry.aggregate(all).metrics()
  }
}

/** Sums counts of processes. */
function sumOf(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  const merged = new Map<string, { metric: MetricData; values: Map<string, ValueData> }>()
  for (const metric of snapshots.flat()) {
    const into = merged.get(metric.name) ?? { metric, values: new Map() }
    merged.set(metric.name, into)
    for (const value of metric.values) {
      const key = JSON.stringify([value.metricName, value.labels])
      into.values.set(key, { ...value, value: value.value + (into.values.get(key)?.value ?? 0) })
    }
  }
  return [...merged.values()].map(({ metric, values }) => ({ ...metric, values: [...values.values()] }))
}

function isCount({ type }: MetricData): boolean {
  return type === 'counter' || type === 'histogram' || type === 'summary'
}

/** Marks what is of each process. `whole` is a metric of which this process speaks for the node. */
function ofProcess(snapshot: MetricsSnapshot, process: string, whole?: string): MetricsSnapshot {
  return snapshot.map((metric) => {
    if (metric.name === whole) return { ...metric, aggregator: 'first' }
    if (!OF_EACH.test(metric.name) || metric.name === START_TIME) return metric
    const values = metric.values.map((value) => ({ ...value, labels: { ...value.labels, process } }))
    return { ...metric, aggregator: 'sum', values }
  })
}
