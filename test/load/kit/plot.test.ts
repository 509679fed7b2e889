import { expect, it } from 'vitest'
import { Histogram } from '../../../load/kit/histogram.ts'
import { plotSvg } from '../../../load/kit/plot.ts'

const seconds = (factor: number) =>
  Array.from({ length: 10 }, (_, second) => ({
    due: 100 * second,
    answered: 90 * second,
    p50: 500 * factor,
    p99: 9_000,
  }))

it('draws a line for each result in each panel, within the drawing, with its name', () => {
  const latency = new Histogram()
  for (let i = 1; i <= 100_000; i++) latency.record(i)
  const named = (name: string, factor: number) => ({
    name,
    result: { latency: latency.toJSON(), series: seconds(factor) },
  })
  const svg = plotSvg('a < b & "c"', [named('one', 1), named('<two>', 2)])
  expect(svg).toContain('a &lt; b &amp; &quot;c&quot;')
  expect(svg).toContain('&lt;two>')
  const lines = [...svg.matchAll(/<path d="(M[^"]*L[^"]*)" fill="none"/g)].map(([, path]) => path ?? '')
  expect(lines).toHaveLength(2 + 4 + 4)
  const height = Number(/height="(\d+)"/.exec(svg)?.[1])
  for (const path of lines)
    for (const point of path.split(/[ML]/).filter((part) => part !== '')) {
      const [x = NaN, y = NaN] = point.split(' ').map(Number)
      expect(x).toBeGreaterThanOrEqual(0)
      expect(x).toBeLessThanOrEqual(860)
      expect(y).toBeGreaterThanOrEqual(0)
      expect(y).toBeLessThanOrEqual(height)
    }
  // Latency rises with the percentile: on the screen, it falls.
  const ys = (lines[0] ?? '').split(/[ML]/).flatMap((point) => (point === '' ? [] : [Number(point.split(' ')[1])]))
  expect(ys).toEqual(ys.toSorted((a, b) => b - a))
})

it('draws nothing where there is nothing', () => {
  const empty = { name: 'none', result: { latency: new Histogram().toJSON(), series: [] } }
  expect(plotSvg('nothing', [empty])).not.toContain('NaN')
})
