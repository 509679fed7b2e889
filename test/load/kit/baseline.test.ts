import { describe, expect, it } from 'vitest'
import { judge } from '../../../load/kit/baseline.ts'
import { BENCH_ROWS } from '../../../load/kit/bench-rows.ts'
import { compare, merged, verdictOn } from '../../../load/kit/comparison.ts'
import { Histogram } from '../../../load/kit/histogram.ts'
import type { LoadResult } from '../../../load/kit/load.ts'
import { ratioOf } from '../../../load/kit/pairs.ts'

const kept = (median: number, lowest = median, highest = median) => ({ median, lowest, highest })

describe('the baseline', () => {
  it.each([
    ['a tenth more, in every round', kept(0.3, 0.29, 0.31), kept(0.34, 0.31, 0.36), 'slower'],
    ['more than ever, in most rounds', kept(0.3, 0.29, 0.31), kept(0.34, 0.28, 0.36), 'slower'],
    ['a little more, however sure', kept(0.3), kept(0.32), 'same'],
    ['more, but within the spread of both', kept(0.3, 0.2, 0.4), kept(0.35, 0.25, 0.45), 'same'],
    ['less', kept(0.3, 0.29, 0.31), kept(0.2, 0.19, 0.21), 'faster'],
    ['nothing any more', kept(0.3), undefined, 'gone'],
    ['something new', undefined, kept(0.3), 'new'],
  ])('%s', (_name, before, now, verdict) => {
    const table = (value: ReturnType<typeof kept> | undefined) => (value === undefined ? {} : { row: value })
    expect(judge(table(before), table(now))).toEqual([
      { row: 'row', before: before?.median, now: now?.median, verdict },
    ])
  })
})

describe('the rows of the bench', () => {
  it('have names of their own, and an echo each of the same door’s protocol', () => {
    expect(new Set(BENCH_ROWS.map(({ name }) => name)).size).toBe(BENCH_ROWS.length)
    for (const { beside, door } of BENCH_ROWS) {
      const echo = BENCH_ROWS.find(({ name }) => name === beside)
      expect(beside === undefined || echo?.server.startsWith('echo:')).toBe(true)
      if (echo !== undefined) expect(echo.door === 'http').toBe(door === 'http')
    }
  })
})

function resultOf(micros: number, cpuSeconds: number): LoadResult {
  const latency = new Histogram()
  for (let i = 0; i < 1_000; i++) latency.record(micros + i)
  const empty = new Histogram().toJSON()
  const counts = { allow: 900, deny: 100, wrong: 0, shed: 0, expired: 0, missing: 0, failed: 0, gone: 0, unsent: 0 }
  const series = [{ due: 1_000, answered: 1_000, p50: micros, p99: micros }]
  const usage = { cpuSeconds, driverCpuSeconds: 0, peakBytes: 2 ** 20 }
  return { counts, reasons: {}, seconds: 2, latency: latency.toJSON(), shed: empty, late: empty, series, ...usage }
}

describe('a comparison', () => {
  it('has each figure of both, and their ratio', () => {
    const a = [resultOf(1_000, 0.01), resultOf(1_000, 0.02), resultOf(1_000, 0.03)]
    const b = [resultOf(3_000, 0.02), resultOf(3_000, 0.04), resultOf(3_000, 0.06)]
    const [cpu, rate, p50] = compare(a, b)
    expect(cpu).toMatchObject({ figure: 'CPU s/million', a: 20, b: 40, ratio: { median: 2, pairs: 3 } })
    expect(rate).toMatchObject({ a: 500, b: 500, ratio: { median: 1 } })
    expect(p50?.ratio.median).toBeCloseTo(3_500 / 1_500, 1)
    expect(verdictOn(cpu?.ratio ?? ratioOf([], []))).toBe('larger: +100.0 % to +100.0 %')
    expect(Histogram.of(merged([...a, ...b]).latency).count).toBe(6_000)
  })

  it('does not take chance for a difference', () => {
    expect(verdictOn(ratioOf([1.1, 0.9, 1, 1.05, 0.97], [1, 1, 1, 1, 1]))).toBe('no difference seen')
    expect(verdictOn(ratioOf([0.8, 0.7, 0.75], [1, 1, 1]))).toBe('smaller: -30.0 % to -20.0 %')
    expect(verdictOn(ratioOf([], []))).toBe('not measured')
  })

  it('says that a server without a pid was not measured', () => {
    const result = { ...resultOf(1_000, 0), peakBytes: 0 }
    expect(compare([result], [result])[0]?.ratio.pairs).toBe(0)
  })
})
