import { describe, expect, it } from 'vitest'
import { createMeter } from '../../src/observe/meter.ts'

const bare = { processMetrics: false }

describe('the meter', () => {
  it('renders counters, gauges and histograms with the prefix, help and labels', async () => {
    const meter = createMeter(bare)
    meter
      .counter({ name: 'checks_total', help: 'Checks.', labels: ['tier', 'code'] })('local', 'OK')
      .add(2)
    meter.gauge({ name: 'entries', help: 'Entries.' })().set(7)
    const seconds = meter.histogram({ name: 'wait_seconds', help: 'Wait.', labels: ['kind'], buckets: [0.1, 1] })
    seconds('get').observe(0.5)
    const text = await meter.render()
    expect(text).toContain('# HELP intermix_checks_total Checks.')
    expect(text).toContain('# TYPE intermix_checks_total counter')
    expect(text).toContain('intermix_checks_total{tier="local",code="OK"} 2')
    expect(text).toContain('intermix_entries 7')
    expect(text).toContain('intermix_wait_seconds_bucket{le="0.1",kind="get"} 0')
    expect(text).toContain('intermix_wait_seconds_bucket{le="1",kind="get"} 1')
    expect(text).toContain('intermix_wait_seconds_sum{kind="get"} 0.5')
    expect(meter.contentType).toContain('text/plain')
  })

  it('gives the same series for the same name and label values', async () => {
    const meter = createMeter(bare)
    const spec = { name: 'calls_total', help: 'Calls.', labels: ['handler'] }
    const first = meter.counter(spec)('a')
    const second = meter.counter(spec)('a')
    first.add()
    second.add()
    expect(second).toBe(first)
    expect(await meter.render()).toContain('intermix_calls_total{handler="a"} 2')
  })

  it('shows a counter at 0 as soon as it is resolved', async () => {
    const meter = createMeter(bare)
    meter.counter({ name: 'drops_total', help: 'Drops.', labels: ['reason'] })('full')
    expect(await meter.render()).toContain('intermix_drops_total{reason="full"} 0')
  })

  it('refuses the same name with another kind or other labels, and a wrong number of label values', () => {
    const meter = createMeter(bare)
    const counter = meter.counter({ name: 'calls_total', help: 'Calls.', labels: ['handler'] })
    expect(() => meter.gauge({ name: 'calls_total', help: 'Calls.', labels: ['handler'] })).toThrow(/is a counter/)
    expect(() => meter.counter({ name: 'calls_total', help: 'Calls.', labels: ['rule'] })).toThrow(/labels \(handler\)/)
    expect(() => counter()).toThrow(/takes 1 label values \(handler\), not 0/)
  })

  it('folds label values beyond the bound into one series and loses no count', async () => {
    const meter = createMeter({ ...bare, maxSeries: 3 })
    const counter = meter.counter({ name: 'paths_total', help: 'Paths.', labels: ['path'] })
    for (let i = 0; i < 50; i++) counter(`/${i}`).add()
    const series = (await meter.render()).split('\n').filter((line) => line.startsWith('intermix_paths_total{'))
    expect(series).toHaveLength(4)
    expect(series).toContain('intermix_paths_total{path="overflow"} 47')
  })

  it('keeps the registries of two meters apart and brings the metrics of the process', async () => {
    const meter = createMeter()
    meter.counter({ name: 'only_here_total', help: 'Here.' })().add()
    const other = await createMeter().render()
    expect(other).not.toContain('only_here')
    expect(other).toContain('process_cpu_seconds_total')
    expect(other).toContain('nodejs_eventloop_lag_seconds')
  })
})
