// Draws panels with lines as SVG.

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
/** Where values lie on an axis, from 0 to 1, and which of them are named. */
export interface Scale {
  readonly at: (value: number) => number
  readonly ticks: readonly (readonly [value: number, label: string])[]
}

export interface Line {
  /** In the legend; empty for a line that belongs to another one of its colour. */
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
  readonly colour: number
  readonly dashed?: boolean
}

export interface Panel {
  readonly title: string
  readonly x: Scale
  readonly y: Scale
  readonly lines: readonly Line[]
}

/** A whole SVG document. */
export function panelsSvg(title: string, panels: readonly Panel[]): string {
  const height = PANEL.top + panels.length * (PANEL.height + PANEL.gap)
  const body = panels.map((panel, index) => drawPanel(panel, PANEL.top + index * (PANEL.height + PANEL.gap)))
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
<text x="${PANEL.left}" y="20" font-size="15">${escape(title)}</text>
${body.join('\n')}
</svg>
`
}

/** Evenly from one value to another. */
export function linear(from: number, to: number, ticks: Scale['ticks']): Scale {
  return { at: (value) => (value - from) / (to - from), ticks }
}

/** Whole powers of ten around all of the values that are above 0. */
export function powersOfTen(all: readonly number[]): Scale {
  const values = all.filter((value) => value > 0)
  const low = Math.floor(Math.log10(values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(values.reduce((most, value) => Math.max(most, value), 0))))
  const ticks = Array.from(
    { length: high - low + 1 },
    (_, index) => [10 ** (low + index), labelOf(10 ** (low + index))] as const,
  )
  return { at: (value) => (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low), ticks }
}

const labelOf = (value: number) => (value >= 1e6 ? value.toExponential(0).replace('+', '') : String(value))

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
