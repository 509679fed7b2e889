import { describe, expect, it } from 'vitest'
import { createTestEnvironment, ManualClock } from '../../../src/adapter-kit/test-environment.ts'
import type { AdapterEnvironment } from '../../../src/adapter-kit/define-adapter.ts'
import type { MetricInstance } from '../../../src/adapter-kit/templates.ts'
import { MemoryCounters } from '../../../src/adapter-kit/memory-counters.ts'
import prometheus from '../../../src/adapters/prometheus/index.ts'
import { Duration } from '../../../src/kernel/time.ts'
import { ReadableMeter } from '../../redis/support.ts'

const requests = { name: 'requests_total', instanceName: 'requests.instance.default', kind: 'COUNTER' }

function start(params: unknown) {
  const clock = new ManualClock()
  const base = createTestEnvironment({ clock })
  const meter = new ReadableMeter()
  const env: AdapterEnvironment = { ...base, meter, counters: new MemoryCounters(clock) }
  const handler = prometheus.create(prometheus.config.parse(params), env)
  void handler.start?.()
  let serial = 0
  const report = async (...instances: MetricInstance[]) =>
    await handler.report?.metric?.(instances, {
      batchId: `b-${++serial}`,
      deadline: 0,
      signal: new AbortController().signal,
    })
  const render = async () => await base.exposed.get('/metrics')?.()
  return { report, render, clock, meter, schedules: base.schedules }
}

function metric(value: MetricInstance['fields']['value'], dimensions: Record<string, string> = {}, name?: string) {
  const fields = { dimensions, ...(value === undefined ? {} : { value }) }
  return { name: name ?? 'requests.instance.default', template: 'metric', fields }
}

describe('the prometheus adapter', () => {
  it('adds up counters by labels and escapes what is in them', async () => {
    const { report, render } = start({
      metrics: [{ ...requests, description: 'All\nof them', labelNames: ['a-b', 'c'] }],
    })
    await report(metric(1n, { 'a-b': 'x', c: 'q"\\\n' }), metric(2n, { 'a-b': 'x', c: 'q"\\\n' }), metric(0.5))
    await report(metric(4n, { 'a-b': 'x', c: 'q"\\\n' }))
    expect(await render()).toBe(
      [
        '# HELP istio_requests_total All\\nof them',
        '# TYPE istio_requests_total counter',
        'istio_requests_total{a_b="x",c="q\\"\\\\\\n",worker="0"} 7',
        'istio_requests_total{a_b="",c="",worker="0"} 0.5',
        '',
      ].join('\n'),
    )
  })

  it('counts distributions in cumulated buckets, durations in seconds', async () => {
    const buckets = { explicitBuckets: { bounds: [0.1, 1] } }
    const { report, render } = start({
      metrics: [{ ...requests, name: 'seconds', namespace: '', kind: 'DISTRIBUTION', buckets }],
    })
    await report(...[50, 100, 500, 2000].map((millis) => metric(Duration.fromMillis(millis))))
    expect((await render())?.split('\n').slice(2, -1)).toEqual([
      'seconds_bucket{worker="0",le="0.1"} 2',
      'seconds_bucket{worker="0",le="1"} 3',
      'seconds_bucket{worker="0",le="+Inf"} 4',
      'seconds_sum{worker="0"} 2.65',
      'seconds_count{worker="0"} 4',
    ])
  })

  it('computes linear and exponential buckets', async () => {
    const { report, render } = start({
      metrics: [
        {
          ...requests,
          name: 'linear',
          kind: 'DISTRIBUTION',
          buckets: { linearBuckets: { numFiniteBuckets: 2, width: 5, offset: 1 } },
        },
        {
          ...requests,
          name: 'exponential',
          kind: 'DISTRIBUTION',
          buckets: { exponentialBuckets: { numFiniteBuckets: 2, growthFactor: 10, scale: 2 } },
        },
      ],
    })
    await report(metric(3n))
    const bounds = (name: string, text = '') => [...text.matchAll(new RegExp(`${name}_bucket.*le="([^"]+)"`, 'g'))]
    const text = await render()
    expect(bounds('linear', text).map(([, bound]) => bound)).toEqual(['1', '6', '11', '+Inf'])
    expect(bounds('exponential', text).map(([, bound]) => bound)).toEqual(['2', '20', '200', '+Inf'])
  })

  it('sets gauges to the last value', async () => {
    const { report, render } = start({ metrics: [{ ...requests, kind: 'GAUGE' }] })
    await report(metric(5n), metric('-2.5'))
    expect(await render()).toContain('istio_requests_total{worker="0"} -2.5\n')
  })

  it('folds label sets beyond the limit into one series and counts them', async () => {
    const { report, render, meter } = start({ metrics: [{ ...requests, labelNames: ['n'], cardinalityLimit: 2 }] })
    await report(...['a', 'b', 'c', 'd', 'a'].map((n) => metric(1n, { n })))
    expect((await render())?.split('\n').slice(2, -1)).toEqual([
      'istio_requests_total{n="a",worker="0"} 2',
      'istio_requests_total{n="b",worker="0"} 1',
      'istio_requests_total{n="overflow",worker="0"} 2',
    ])
    expect(meter.value('prometheus_adapter_exceptions_total', 'test.handler.default', 'cardinality')).toBe(2)
  })

  it('leaves out and counts what has no number, what would lower a counter, and unknown instances', async () => {
    const { report, render, meter } = start({ metrics: [requests] })
    await report(metric(undefined), metric('many'), metric(-1n), metric(1n, {}, 'other.instance.default'), metric(1n))
    expect(await render()).toContain('istio_requests_total{worker="0"} 1\n')
    const skipped = (reason: string) =>
      meter.value('prometheus_adapter_exceptions_total', 'test.handler.default', reason)
    expect([skipped('no-number'), skipped('negative-counter'), skipped('unknown-instance')]).toEqual([2, 1, 1])
  })

  it('hides and then removes series that have not changed for the expiry', async () => {
    const { report, render, clock, schedules } = start({
      metrics: [{ ...requests, labelNames: ['n'], cardinalityLimit: 2 }],
      metricsExpirationPolicy: { metricsExpiryDuration: '10m' },
    })
    await report(metric(1n, { n: 'old' }))
    await clock.advance(6 * 60_000)
    await report(metric(1n, { n: 'new' }))
    await clock.advance(5 * 60_000)
    expect(await render()).not.toContain('old')
    expect(schedules[0]?.everyMs).toBe(300_000)
    await schedules[0]?.task(new AbortController().signal)
    await report(metric(1n, { n: 'newer' }))
    await report(metric(1n, { n: 'new' }))
    expect((await render())?.split('\n').slice(2, -1)).toEqual([
      'istio_requests_total{n="new",worker="0"} 2',
      'istio_requests_total{n="newer",worker="0"} 1',
    ])
  })

  it('names everything that is wrong in its metrics', () => {
    const issues = prometheus.validate?.(
      prometheus.config.parse({
        metrics: [
          { ...requests, kind: 'UNSPECIFIED' },
          { ...requests, labelNames: ['a.b', 'a_b', 'worker'] },
          { ...requests, kind: 'COUNTER', buckets: { explicitBuckets: { bounds: [1] } } },
          { ...requests, name: 'd', kind: 'DISTRIBUTION', buckets: { explicitBuckets: { bounds: [2, 1] } } },
          requests,
          requests,
        ],
      }),
    )
    expect(issues?.map(({ path }) => path.join('.'))).toEqual([
      'metrics.0.kind',
      'metrics.1.labelNames.1',
      'metrics.1.labelNames.2',
      'metrics.2.buckets',
      'metrics.3.buckets',
      'metrics.5.name',
    ])
  })
})
