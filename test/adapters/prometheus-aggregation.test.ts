// Metrics that were added up before they were queued count as those that come one by one.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createTestEnvironment, ManualClock } from '../../src/adapter-kit/test-environment.ts'
import type { AdapterEnvironment } from '../../src/adapter-kit/define-adapter.ts'
import type { Instance } from '../../src/adapter-kit/instance.ts'
import { MemoryCounters } from '../../src/adapter-kit/memory-counters.ts'
import prometheus from '../../src/adapters/prometheus/index.ts'
import { Duration } from '../../src/kernel/time.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import { ReadableMeter } from '../redis/support.ts'

const METRICS = [
  { name: 'count', instanceName: 'count.instance.a', kind: 'COUNTER', labelNames: ['x', 'y'] },
  { name: 'twice', instanceName: 'count.instance.a', kind: 'COUNTER', labelNames: ['y'] },
  { name: 'level', instanceName: 'level', kind: 'GAUGE', labelNames: ['x'] },
  {
    name: 'spread',
    instanceName: 'spread.instance.a',
    kind: 'DISTRIBUTION',
    labelNames: ['x', 'y'],
    buckets: { explicitBuckets: { bounds: [0.5, 1, 5] } },
  },
]
const config = prometheus.config.parse({ metrics: METRICS })

function start(params = config) {
  const clock = new ManualClock()
  const base = createTestEnvironment({ clock })
  const meter = new ReadableMeter()
  const env: AdapterEnvironment = { ...base, meter, counters: new MemoryCounters(clock) }
  const handler = prometheus.create(params, env)
  void handler.start?.()
  let serial = 0
  const call = () => ({ batchId: `b-${++serial}`, deadline: 0, signal: new AbortController().signal })
  const skipped = () =>
    ['unknown-instance', 'no-number', 'negative-counter', 'obsolete-definition'].map((reason) =>
      meter.value('prometheus_adapter_exceptions_total', base.handlerName, reason),
    )
  const text = async () =>
    String(await base.exposed.get('/metrics')?.())
      .split('\n')
      .toSorted()
  return { handler, call, skipped, text }
}

/** As the fan-out does it: instances by object, the observed field apart, the batches through JSON. */
function addUp(instances: readonly Instance[], sharing: boolean) {
  const aggregator = prometheus.aggregation?.('metric', config)?.open()
  if (aggregator === undefined) throw new Error('metrics are not added up')
  const known = new Map<string, unknown>()
  for (const { name, template, fields } of instances) {
    const { value, ...others } = fields
    const key = JSON.stringify([name, others])
    let series = sharing ? known.get(key) : undefined
    if (series === undefined) known.set(key, (series = aggregator.series({ name, template, fields: others })))
    aggregator.observe(series, value)
  }
  const pieces = aggregator.take()
  return JSON.parse(JSON.stringify(pieces)) as typeof pieces
}

const value = fc.oneof(
  fc.bigInt(-2n, 9n),
  fc.constantFrom<AttributeValue | undefined>(0.25, Infinity, 'x', '3', undefined, new Duration(700_000_000n)),
)
const instance = fc.record({
  name: fc.constantFrom('count.instance.a', 'level.instance.a', 'spread.instance.a', 'other.instance.a'),
  x: fc.constantFrom('1', '2', 'two "\n'),
  y: fc.option(fc.constantFrom('1', '2'), { nil: undefined }),
  value,
})

describe('metrics that were added up', () => {
  it('count as the same instances one by one, in batches that do not hang on which objects came', async () => {
    const property = async (given: readonly { name: string; x: string; y?: string | undefined; value?: unknown }[]) => {
      const instances = given.map(({ name, x, y, value: observed }) => ({
        name,
        template: 'metric',
        fields: {
          ...(observed === undefined ? {} : { value: observed }),
          dimensions: { x, ...(y === undefined ? {} : { y }) },
        },
      })) as unknown as Instance[]
      const [single, summed] = [start(), start()]
      await single.handler.report?.metric?.(instances, single.call())
      const pieces = addUp(instances, true)
      expect(addUp(instances, false)).toEqual(pieces)
      expect(pieces.reduce((sum, { count }) => sum + count, 0)).toBe(instances.length)
      for (const { content } of pieces) await summed.handler.aggregate?.['metric']?.(content, summed.call())
      expect(await summed.text()).toEqual(await single.text())
      expect(summed.skipped()).toEqual(single.skipped())
    }
    await fc.assert(fc.asyncProperty(fc.array(instance, { maxLength: 40 }), property), { numRuns: 200 })
  })

  it('come in pieces where there are many series, each instance in one of them', () => {
    const instances = Array.from({ length: 2500 }, (_, i) => ({
      name: 'spread.instance.a',
      template: 'metric',
      fields: { value: 1n, dimensions: { x: `${i}` } },
    }))
    expect(addUp(instances, true).map(({ count }) => count)).toEqual([1000, 1000, 500])
  })

  it('do not count in a metric that is defined otherwise by now, which is counted', async () => {
    const [first, ...others] = METRICS
    const changed = prometheus.config.parse({ metrics: [{ ...first, labelNames: ['x'] }, ...others] })
    const { handler, call, skipped, text } = start(changed)
    const instances = [{ name: 'count.instance.a', template: 'metric', fields: { value: 1n, dimensions: { x: '1' } } }]
    for (const { content } of addUp(instances, true)) await handler.aggregate?.['metric']?.(content, call())
    expect((await text()).filter((line) => line.startsWith('istio_'))).toEqual([
      expect.stringMatching(/^istio_twice\{.*\} 1$/),
    ])
    expect(skipped()).toEqual(
      [undefined, undefined, undefined, 1].map((each) => each ?? expect.toBeOneOf([0, undefined])),
    )
  })
})
