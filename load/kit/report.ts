// What commands print of a load, and where they leave it.

import { mkdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { say } from '../output.ts'
import { Histogram } from './histogram.ts'
import { answered, cpuMicros, type LoadResult, perSecond, unanswered } from './load.ts'
import { type Plotted, plotSvg } from './plot.ts'

const MEBIBYTE = 2 ** 20

function milliseconds(micros: number): string {
  return (micros / 1_000).toFixed(micros < 10_000 ? 2 : 1)
}

/** A row for `printTable`. Latencies are of answers, in milliseconds. */
export function resultRow(server: string, result: LoadResult): Readonly<Record<string, string | number>> {
  const latency = Histogram.of(result.latency)
  const perAnswer = 1e6 / Math.max(1, answered(result))
  const measured = result.peakBytes > 0
  return {
    server,
    'checks/s': Math.round(perSecond(result)),
    'CPU s/million': measured ? cpuMicros(result).toFixed(1) : '–',
    p50: milliseconds(latency.quantile(0.5)),
    p99: milliseconds(latency.quantile(0.99)),
    'p99.9': milliseconds(latency.quantile(0.999)),
    max: milliseconds(latency.max),
    'peak MiB': measured ? Math.round(result.peakBytes / MEBIBYTE) : '–',
    'no answer': unanswered(result),
    wrong: result.counts.wrong,
    'driver µs': (result.driverCpuSeconds * perAnswer).toFixed(1),
    'late p99': milliseconds(Histogram.of(result.late).quantile(0.99)),
  }
}

/** Says why calls had no answer. */
export function sayReasons(server: string, { reasons, counts }: LoadResult): void {
  if (counts.missing > 0) say(`${server} has no such door`)
  else for (const [reason, count] of Object.entries(reasons)) say(`${server}: ${count} × ${reason}`)
}

/** Draws the results to `load/results/<name>.svg`. */
export async function savePlot(name: string, title: string, plotted: readonly Plotted[]): Promise<void> {
  const folder = fileURLToPath(new URL('../results/', import.meta.url))
  await mkdir(folder, { recursive: true })
  await writeFile(`${folder}${name}.svg`, plotSvg(title, plotted))
  say(`drawing: load/results/${name}.svg`)
}
