import { describe, expect, it } from 'vitest'
import { counter, gauge, histogram } from '../../src/kernel/metrics/define.ts'
import { createMeter } from '../../src/observe/meter.ts'

const bare = { processMetrics: false }
const about = { unit: 'things', help: 'Things.' }
const CALLS = counter({ ...about, name: 'calls_total', labels: { handler: 'its name' } })

describe('the meter', () => {
  it('renders counters, gauges and histograms with the prefix, help and labels', async () => {
    const meter = createMeter(bare)
    const checks = counter({ ...about, name: 'checks_total', labels: { tier: ['local', 'mesh'], code: 'a code' } })
    meter.counter(checks)({ code: 'OK', tier: 'local' }).add(2)
    meter
      .gauge(gauge({ ...about, name: 'entries' }))()
      .set(7)
    const wait = histogram({ ...about, name: 'wait_seconds', labels: { kind: 'of wait' }, buckets: [0.1, 1] })
    meter.histogram(wait)({ kind: 'get' }).observe(0.5)
    const text = await meter.render()
    expect(text).toContain('# HELP intermix_checks_total Things.')
    expect(text).toContain('# TYPE intermix_checks_total counter')
    expect(text).toContain('intermix_checks_total{tier="local",code="OK"} 2')
    expect(text).toContain('intermix_entries 7')
    expect(text).toContain('intermix_wait_seconds_bucket{le="0.1",kind="get"} 0')
    expect(text).toContain('intermix_wait_seconds_bucket{le="1",kind="get"} 1')
    expect(text).toContain('intermix_wait_seconds_sum{kind="get"} 0.5')
    expect(meter.contentType).toContain('text/plain')
  })

  it('counts observations up to each bound, the bound itself included', async () => {
    const meter = createMeter(bare)
    const size = histogram({ ...about, name: 'size_bytes', buckets: [1, 2] })
    for (const value of [0, 1, 1.5, 2, 2.5]) meter.histogram(size)().observe(value)
    const lines = (await meter.render()).split('\n').filter((line) => line.startsWith('intermix_size'))
    expect(lines).toEqual([
      'intermix_size_bytes_bucket{le="1"} 2',
      'intermix_size_bytes_bucket{le="2"} 4',
      'intermix_size_bytes_bucket{le="+Inf"} 5',
      'intermix_size_bytes_sum 7',
      'intermix_size_bytes_count 5',
    ])
  })

  it('refuses what is no number, and counters that count down', () => {
    const meter = createMeter(bare)
    const size = meter.histogram(histogram({ ...about, name: 'size_bytes', buckets: [1, 2] }))()
    expect(() => size.observe(Number.NaN)).toThrow('NaN cannot be counted or observed')
    expect(() => meter.counter(CALLS)({ handler: 'a' }).add(-1)).toThrow('-1 cannot be counted')
  })

  it('refuses metrics for which Prometheus would take none of them', async () => {
    const meter = createMeter(bare)
    meter.counter(CALLS)({ handler: 'a' }).add()
    const label = (name: string) => ({ ...about, name: 'a_total', labels: { [name]: 'any' } })
    const buckets = (...bounds: number[]) => histogram({ ...about, name: 'b', buckets: bounds })
    expect(() => meter.counter(counter({ ...about, name: 'my-calls_total' }))).toThrow('letters, digits and _')
    expect(() => meter.counter(counter(label('the kind')))).toThrow('"the kind" cannot be the name of a label')
    expect(() => meter.counter(counter(label('__name__')))).toThrow('"__name__" cannot be the name of a label')
    expect(() => meter.histogram(histogram({ ...label('le'), buckets: [1] }))).toThrow('"le" cannot be the name')
    expect(() => meter.histogram(buckets(1, 1))).toThrow('each above the one before')
    expect(() => meter.histogram(buckets(Number.NaN))).toThrow('each above the one before')
    expect((await meter.render()).trim().split('\n')).toHaveLength(3)
  })

  it('gives the same child for the same metric and label values', async () => {
    const meter = createMeter(bare)
    const first = meter.counter(CALLS)({ handler: 'a' })
    const second = meter.counter(CALLS)({ handler: 'a' })
    first.add()
    second.add()
    expect(second).toBe(first)
    expect(await meter.render()).toContain('intermix_calls_total{handler="a"} 2')
  })

  it('tells children apart by every label, and by none but the labels', () => {
    const twoLabels = counter({ ...about, name: 'pairs_total', labels: { left: 'any', right: 'any' } })
    const children = createMeter(bare).counter(twoLabels)
    const texts = ['', 'a', 'b', 'a,b', '"', 'toString', '__proto__', 'overflow']
    const all = texts.flatMap((left) => texts.map((right) => children({ left, right })))
    expect(new Set(all).size).toBe(texts.length ** 2)
    // The order in which a caller writes them says nothing.
    expect(children({ right: 'b', left: 'a' })).toBe(children({ left: 'a', right: 'b' }))
  })

  it('shows a counter at 0 as soon as it is resolved', async () => {
    const meter = createMeter(bare)
    meter.counter(CALLS)({ handler: 'full' })
    meter.counter(counter({ ...about, name: 'drops_total' }))
    const text = await meter.render()
    expect(text).toContain('intermix_calls_total{handler="full"} 0')
    expect(text).toContain('intermix_drops_total 0')
  })

  it('takes definitions alone, each with its labels, as the compiler sees', () => {
    const meter = createMeter(bare)
    // @ts-expect-error -- an object that only looks like a definition
    expect(() => meter.counter({ ...about, name: 'bare_total' })).toThrow(/bare_total is not defined as a counter/)
    const children = meter.counter(CALLS)
    // @ts-expect-error -- another label
    expect(() => children({ rule: 'a' })).toThrow(/calls_total needs a value for each of: handler/)
    // @ts-expect-error -- no label
    expect(() => children()).toThrow(/calls_total needs a value for each of: handler/)
    const listed = counter({ ...about, name: 'listed_total', labels: { way: ['in', 'out'] } })
    // @ts-expect-error -- a value that the label does not list
    meter.counter(listed)({ way: 'through' })
    // @ts-expect-error -- a gauge is no counter
    expect(() => meter.counter(gauge({ ...about, name: 'level' }))).toThrow(/level is not defined as a counter/)
  })

  it('refuses a second definition of another kind or with other labels, and takes one that says the same', () => {
    const meter = createMeter(bare)
    const children = meter.counter(CALLS)
    const again = counter({ ...about, name: 'calls_total', labels: { handler: 'its name' } })
    expect(meter.counter(again)).toBe(children)
    const asGauge = gauge({ ...about, name: 'calls_total', labels: { handler: 'its name' } })
    expect(() => meter.gauge(asGauge)).toThrow(/calls_total is a counter with labels \(handler\), not a gauge/)
    const byRule = counter({ ...about, name: 'calls_total', labels: { rule: 'its name' } })
    expect(() => meter.counter(byRule)).toThrow(
      /is a counter with labels \(handler\), not a counter with labels \(rule\)/,
    )
  })

  it('folds label values beyond the bound into one child and loses no count', async () => {
    const meter = createMeter({ ...bare, maxSeries: 3 })
    const paths = counter({ ...about, name: 'paths_total', labels: { method: 'any', path: 'any' } })
    const children = meter.counter(paths)
    for (let i = 0; i < 50; i++) children({ method: 'GET', path: `/${i}` }).add()
    children({ method: 'GET', path: '/0' }).add()
    const series = (await meter.render()).split('\n').filter((line) => line.startsWith('intermix_paths_total{'))
    expect(series).toHaveLength(4)
    expect(series).toContain('intermix_paths_total{method="overflow",path="overflow"} 47')
    expect(series).toContain('intermix_paths_total{method="GET",path="/0"} 2')
  })

  it('keeps the registries of two meters apart and brings the metrics of the process', async () => {
    const meter = createMeter()
    meter
      .counter(counter({ ...about, name: 'only_here_total' }))()
      .add()
    const other = await createMeter().render()
    expect(other).not.toContain('only_here')
    expect(other).toContain('process_cpu_seconds_total')
    expect(other).toContain('nodejs_eventloop_lag_seconds')
  })
})
