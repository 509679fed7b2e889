// Draws results as SVG: latency by percentile, and rate and latency over time.

import { type Line, linear, type Panel, panelsSvg, powersOfTen, type Scale } from './drawing.ts'
import { Histogram } from './histogram.ts'
import type { LoadResult } from './load.ts'

/** One line of the drawing. */
export interface Plotted {
  readonly name: string
  readonly result: Pick<LoadResult, 'latency' | 'series'>
}

/** The percentile axis: each step is a tenth of what lies beyond. */
const SHARES = [0, 0.9, 0.99, 0.999, 0.9999]
const POINTS_PER_STEP = 20

/** A whole SVG document. */
export function plotSvg(title: string, plotted: readonly Plotted[]): string {
  return panelsSvg(title, [percentilePanel(plotted), ratePanel(plotted), timePanel(plotted)])
}

function percentilePanel(plotted: readonly Plotted[]): Panel {
  const histograms = plotted.map(({ result }) => Histogram.of(result.latency))
  const steps = SHARES.length - 1
  const xOf = (share: number) => -Math.log10(Math.max(1 - share, 10 ** -steps))
  const lines = histograms.map((histogram, index): Line => {
    const points = Array.from({ length: steps * POINTS_PER_STEP + 1 }, (_, point) => {
      const share = 1 - 10 ** (-point / POINTS_PER_STEP)
      return [xOf(share), histogram.quantile(share) / 1_000] as const
    })
    return { name: plotted[index]?.name ?? '', points, colour: index }
  })
  return {
    title: 'latency in ms by percentile',
    x: linear(
      0,
      steps,
      SHARES.map((share) => [xOf(share), `${share * 100} %`]),
    ),
    y: milliseconds(lines),
    lines,
  }
}

function ratePanel(plotted: readonly Plotted[]): Panel {
  const lines = plotted.flatMap(({ name, result }, colour): Line[] => [
    { name: '', points: result.series.map(({ due }, second) => [second, due]), colour, dashed: true },
    { name, points: result.series.map(({ answered }, second) => [second, answered]), colour },
  ])
  return {
    title: 'checks a second that were answered (dashed: that were due)',
    x: seconds(plotted),
    y: fromZero(lines),
    lines,
  }
}

function timePanel(plotted: readonly Plotted[]): Panel {
  const lines = plotted.flatMap(({ name, result }, colour): Line[] => [
    { name, points: result.series.map(({ p99 }, second) => [second, p99 / 1_000]), colour },
    {
      name: '',
      points: result.series.map(({ p50 }, second) => [second, p50 / 1_000]),
      colour,
      dashed: true,
    },
  ])
  return { title: 'p99 in ms over time (dashed: p50)', x: seconds(plotted), y: milliseconds(lines), lines }
}

function seconds(plotted: readonly Plotted[]): Scale {
  const last = Math.max(1, ...plotted.map(({ result }) => result.series.length - 1))
  return linear(
    0,
    last,
    ticksTo(last, (value) => `${value} s`),
  )
}

function fromZero(lines: readonly Line[]): Scale {
  const largest = Math.max(1, ...lines.flatMap(({ points }) => points.map(([, y]) => y)))
  return linear(0, largest, ticksTo(largest, String))
}

function ticksTo(largest: number, label: (value: number) => string): Scale['ticks'] {
  const rough = largest / 6
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = Math.max(1, ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power)
  return Array.from({ length: Math.floor(largest / step) + 1 }, (_, index) => [index * step, label(index * step)])
}

/** One millisecond is always in sight. */
function milliseconds(lines: readonly Line[]): Scale {
  return powersOfTen([...lines.flatMap(({ points }) => points.map(([, y]) => y)), 1])
}
