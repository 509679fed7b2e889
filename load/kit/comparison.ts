// What two servers' results are beside each other, figure by figure.

import { Histogram } from './histogram.ts'
import { cpuMicros, type LoadResult, perSecond } from './load.ts'
import { medianOf, type Ratio, ratioOf } from './pairs.ts'

/** One figure of both, medians over all pairs, and the ratio of `b` to `a` pair by pair. */
export interface Compared {
  readonly figure: string
  readonly a: number
  readonly b: number
  readonly ratio: Ratio
}

const FIGURES: Readonly<Record<string, (result: LoadResult) => number>> = {
  'CPU s/million': (result) => (result.peakBytes > 0 ? cpuMicros(result) : NaN),
  'checks/s': perSecond,
  'p50 ms': (result) => Histogram.of(result.latency).quantile(0.5) / 1_000,
  'p99 ms': (result) => Histogram.of(result.latency).quantile(0.99) / 1_000,
  'peak MiB': (result) => (result.peakBytes > 0 ? result.peakBytes / 2 ** 20 : NaN),
}

export function compare(a: readonly LoadResult[], b: readonly LoadResult[]): readonly Compared[] {
  return Object.entries(FIGURES).map(([figure, read]) => {
    const [as, bs] = [a.map(read), b.map(read)]
    return { figure, a: medianOf(as), b: medianOf(bs), ratio: ratioOf(bs, as) }
  })
}

/** Says in words whether the pairs show a difference: where the interval of the median leaves 1 out. */
export function verdictOn({ interval: [from, to], pairs }: Ratio): string {
  if (pairs === 0) return 'not measured'
  if (from > 1) return `larger: ${percent(from)} to ${percent(to)}`
  if (to < 1) return `smaller: ${percent(from)} to ${percent(to)}`
  return 'no difference seen'
}

function percent(ratio: number): string {
  const change = (ratio - 1) * 100
  return `${change > 0 ? '+' : ''}${change.toFixed(1)} %`
}

/** All results of one server as one, for its curve. */
export function merged(results: readonly LoadResult[]): Pick<LoadResult, 'latency' | 'series'> {
  const latency = new Histogram()
  for (const result of results) latency.add(Histogram.of(result.latency))
  return { latency: latency.toJSON(), series: results.flatMap(({ series }) => series) }
}
