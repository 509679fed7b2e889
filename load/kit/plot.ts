// Draws results as SVG: latency by percentile, and rate and latency over time.

import { Histogram } from './histogram.ts'
import type { LoadResult } from './load.ts'

/** One line of the drawing. */
export interface Plotted {
  readonly name: string
  readonly result: Pick<LoadResult, 'latency' | 'series'>
}

const WIDTH = 860
const PANEL = { left: 70, right: 200, height: 240, gap: 70, top: 56 }
const COLOURS = [
  '#1b6ca8',
  '#c8452d',
  '#3a8f4d',
  '#8a4fb0',
  '#b58900',
  '#555555',
  '#17a2b8',
  '#e377c2',
  '#8c6d46',
  '#93b300',
]
/** The percentile axis: each step is a tenth of what lies beyond. */
const SHARES = [0, 0.9, 0.99, 0.999, 0.9999]
const POINTS_PER_STEP = 20

interface Scale {
  readonly at: (value: number) => number
  readonly ticks: readonly (readonly [value: number, label: string])[]
}

interface Line {
  /** In the legend; empty for a line that belongs to another one of its colour. */
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
  readonly colour: number
  readonly dashed?: boolean
}

interface Panel {
  readonly title: string
  readonly x: Scale
  readonly y: Scale
  readonly lines: readonly Line[]
}

/** A whole SVG document. */
export function plotSvg(title: string, plotted: readonly Plotted[]): string {
  const panels = [percentilePanel(plotted), ratePanel(plotted), timePanel(plotted)]
  const height = PANEL.top + panels.length * (PANEL.height + PANEL.gap)
  const body = panels.map((panel, index) => drawPanel(panel, PANEL.top + index * (PANEL.height + PANEL.gap)))
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
<text x="${PANEL.left}" y="20" font-size="15">${escape(title)}</text>
${body.join('\n')}
</svg>
`
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
    y: logarithmic(lines),
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
  return { title: 'p99 in ms over time (dashed: p50)', x: seconds(plotted), y: logarithmic(lines), lines }
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

function linear(from: number, to: number, ticks: Scale['ticks']): Scale {
  return { at: (value) => (value - from) / (to - from), ticks }
}

/** Whole powers of ten around all values above 0. */
function logarithmic(lines: readonly Line[]): Scale {
  const values = lines.flatMap(({ points }) => points.map(([, y]) => y)).filter((y) => y > 0)
  const low = Math.floor(Math.log10(values.reduce((least, value) => Math.min(least, value), 1)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(values.reduce((most, value) => Math.max(most, value), 0.001))))
  const ticks = Array.from(
    { length: high - low + 1 },
    (_, index) => [10 ** (low + index), String(10 ** (low + index))] as const,
  )
  return { at: (value) => (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low), ticks }
}

function drawPanel({ title, x, y, lines }: Panel, top: number): string {
  const width = WIDTH - PANEL.left - PANEL.right
  const xAt = (value: number) => (PANEL.left + x.at(value) * width).toFixed(1)
  const yAt = (value: number) => (top + (1 - y.at(value)) * PANEL.height).toFixed(1)
  const [right, bottom] = [PANEL.left + width, top + PANEL.height]
  const parts = [`<text x="${PANEL.left}" y="${top - 6}">${escape(title)}</text>`]
  for (const [value, label] of y.ticks)
    parts.push(
      `<path d="M${PANEL.left} ${yAt(value)}H${right}" stroke="#ddd"/>`,
      `<text x="${PANEL.left - 6}" y="${yAt(value)}" text-anchor="end" dominant-baseline="middle">${escape(label)}</text>`,
    )
  for (const [value, label] of x.ticks)
    parts.push(
      `<path d="M${xAt(value)} ${top}V${bottom}" stroke="#eee"/>`,
      `<text x="${xAt(value)}" y="${bottom + 16}" text-anchor="middle">${escape(label)}</text>`,
    )
  let row = top - 8
  for (const { name, points, colour, dashed = false } of lines) {
    const stroke = `stroke="${COLOURS[colour % COLOURS.length]}"${dashed ? ' stroke-dasharray="5 3"' : ''}`
    const path = points.map(([px, py], at) => `${at === 0 ? 'M' : 'L'}${xAt(px)} ${yAt(py)}`).join('')
    parts.push(`<path d="${path}" fill="none" stroke-width="1.5" ${stroke}/>`)
    if (name === '') continue
    row += 16
    parts.push(
      `<path d="M${right + 8} ${row}h18" fill="none" stroke-width="1.5" ${stroke}/>`,
      `<text x="${right + 30}" y="${row}" dominant-baseline="middle">${escape(name)}</text>`,
    )
  }
  return parts.join('\n')
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
