import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { counterMetric, gaugeMetric, histogramMetric } from '../../src/adapter-kit/index.ts'
import { MergedMetrics, type MetricsSnapshot } from '../../src/observe/merged-metrics.ts'
import { createMeter, type PrometheusMeter } from '../../src/observe/meter.ts'

const CALLS = counterMetric({ name: 'calls_total', unit: 'calls', help: 'Calls.', labels: { code: 'code' } })
const TOOK = histogramMetric({ name: 'took_seconds', unit: 'seconds', help: 'Time.', buckets: [1, 2] })
const HELD = gaugeMetric({ name: 'held', unit: 'items', help: 'Items.' })
const UP = gaugeMetric({ name: 'up', unit: '0 or 1', help: 'Up.', merge: 'min' })
const OPEN = gaugeMetric({ name: 'open', unit: '0 or 1', help: 'Open.', merge: 'max' })

const meter = () => createMeter({ processMetrics: false })

async function rendered(merged: MergedMetrics, meters: Readonly<Record<string, PrometheusMeter>>): Promise<string> {
  const fresh = new Map<string, MetricsSnapshot>()
  for (const [process, each] of Object.entries(meters)) fresh.set(process, structuredClone(await each.snapshot()))
  return await merged.render(fresh, [])
}

const valueOf = (text: string, series: string) => {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

describe('the merged metrics of processes', () => {
  it('sum counters and histograms, and gauges by their kind', async () => {
    const [a, b] = [meter(), meter()]
    a.counter(CALLS)({ code: 'OK' }).add(2)
    b.counter(CALLS)({ code: 'OK' }).add(3)
    b.counter(CALLS)({ code: 'NO' }).add(1)
    a.histogram(TOOK)().observe(0.5)
    b.histogram(TOOK)().observe(1.5)
    for (const [each, held, up, open] of [
      [a, 5, 1, 0],
      [b, 7, 0, 1],
    ] as const) {
      each.gauge(HELD)().set(held)
      each.gauge(UP)().set(up)
      each.gauge(OPEN)().set(open)
    }
    const text = await rendered(new MergedMetrics(), { 1: a, 2: b })
    expect(valueOf(text, 'intermix_calls_total{code="OK"}')).toBe(5)
    expect(valueOf(text, 'intermix_calls_total{code="NO"}')).toBe(1)
    expect(valueOf(text, 'intermix_took_seconds_bucket{le="1"}')).toBe(1)
    expect(valueOf(text, 'intermix_took_seconds_bucket{le="2"}')).toBe(2)
    expect(valueOf(text, 'intermix_took_seconds_sum')).toBe(2)
    expect(valueOf(text, 'intermix_took_seconds_count')).toBe(2)
    expect(['held', 'up', 'open'].map((name) => valueOf(text, `intermix_${name}`))).toEqual([12, 0, 1])
    expect(text.match(/# TYPE intermix_calls_total counter/g)).toHaveLength(1)
  })

  it('take the last counts of a process that does not answer, and no gauge of it', async () => {
    const [a, b] = [meter(), meter()]
    const merged = new MergedMetrics()
    for (const each of [a, b]) {
      each.counter(CALLS)({ code: 'OK' }).add(1)
      each.gauge(HELD)().set(4)
    }
    await rendered(merged, { 1: a, 2: b })
    b.counter(CALLS)({ code: 'OK' }).add(9)
    const text = await rendered(merged, { 1: a })
    expect(valueOf(text, 'intermix_calls_total{code="OK"}')).toBe(2)
    expect(valueOf(text, 'intermix_held')).toBe(4)
    expect(valueOf(await rendered(merged, { 1: a, 2: b }), 'intermix_calls_total{code="OK"}')).toBe(11)
  })

  it('show what is of each process by process, and the start of the parent as that of the node', async () => {
    const text = await new MergedMetrics().render(
      new Map([['1', await createMeter().snapshot()]]),
      await createMeter().snapshot(),
    )
    for (const process of ['parent', '1'])
      expect(valueOf(text, `process_resident_memory_bytes{process="${process}"}`)).toBeGreaterThan(1e6)
    expect(valueOf(text, 'process_start_time_seconds')).toBeGreaterThan(1e9)
  })

  it('never count less than before, whoever ends or is silent, and end up with all that was seen', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), process: fc.nat(2), by: fc.nat(5) }),
      fc.record({ kind: fc.constant('end' as const), process: fc.nat(2) }),
      fc.record({ kind: fc.constant('scrape' as const), silent: fc.nat(7) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const merged = new MergedMetrics()
        const meters = [meter(), meter(), meter()]
        const counts = [0, 0, 0]
        const seen = [0, 0, 0]
        let ended = 0
        let before = 0
        for (const each of steps) {
          if (each.kind === 'add') {
            meters[each.process]?.counter(CALLS)({ code: 'OK' }).add(each.by)
            counts[each.process] = (counts[each.process] ?? 0) + each.by
          } else if (each.kind === 'end') {
            merged.end(String(each.process))
            ended += seen[each.process] ?? 0
            meters[each.process] = meter()
            counts[each.process] = 0
            seen[each.process] = 0
          } else {
            const answering = meters.flatMap((one, at) => ((each.silent >> at) & 1 ? [] : [[at, one] as const]))
            for (const [at] of answering) seen[at] = counts[at] ?? 0
            const text = await rendered(merged, Object.fromEntries(answering))
            const now = valueOf(text, 'intermix_calls_total{code="OK"}') ?? 0
            expect(now).toBeGreaterThanOrEqual(before)
            expect(now).toBe(ended + seen.reduce((sum, count) => sum + count, 0))
            before = now
          }
        }
      }),
      { numRuns: 60 },
    )
  })
})
