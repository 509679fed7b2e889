import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createTestEnvironment } from '../../../src/adapter-kit/test-environment.ts'
import { goNumber } from '../../../src/adapters/prometheus/go-number.ts'
import prometheus from '../../../src/adapters/prometheus/index.ts'
import { findTool } from '../../helpers/tools.ts'

// What Go's client of Mixer's time (client_golang 0.9.4) made of the counts below.
const OF_MIXER = `# HELP istio_a_gauge a_gauge
# TYPE istio_a_gauge gauge
istio_a_gauge 1e-05
# HELP istio_request_bytes sizes
# TYPE istio_request_bytes histogram
istio_request_bytes_bucket{reporter="source",le="1"} 2
istio_request_bytes_bucket{reporter="source",le="10"} 2
istio_request_bytes_bucket{reporter="source",le="100"} 3
istio_request_bytes_bucket{reporter="source",le="1000"} 3
istio_request_bytes_bucket{reporter="source",le="10000"} 4
istio_request_bytes_bucket{reporter="source",le="100000"} 4
istio_request_bytes_bucket{reporter="source",le="1e+06"} 5
istio_request_bytes_bucket{reporter="source",le="1e+07"} 5
istio_request_bytes_bucket{reporter="source",le="1e+08"} 5
istio_request_bytes_bucket{reporter="source",le="+Inf"} 6
istio_request_bytes_sum{reporter="source"} 3.00100411775e+09
istio_request_bytes_count{reporter="source"} 6
# HELP istio_requests_total requests_total
# TYPE istio_requests_total counter
istio_requests_total{code="200",destination_service="books",zone="a\\"b\\\\\\n"} 1.234567e+06
istio_requests_total{code="404",destination_service="books",zone=""} 1e+06
`

const METRICS = [
  {
    name: 'requests_total',
    // Hyphens are left out, and an empty namespace is the usual one.
    namespace: '',
    instanceName: 'requestcount',
    kind: 'COUNTER',
    labelNames: ['zo-ne', 'code', 'destination.service'],
  },
  {
    name: 'request-_bytes',
    description: 'sizes',
    instanceName: 'requestsize',
    kind: 'DISTRIBUTION',
    labelNames: ['reporter'],
    buckets: { exponentialBuckets: { numFiniteBuckets: 8, scale: 1, growthFactor: 10 } },
  },
  { name: 'a_gauge', instanceName: 'gauge', kind: 'GAUGE' },
]

async function exposed(mixerText: boolean): Promise<string> {
  const env = createTestEnvironment()
  const handler = prometheus.create(prometheus.config.parse({ mixerText, metrics: METRICS }), env)
  await handler.start?.()
  const metric = (name: string, value: number, dimensions: Record<string, string> = {}) => ({
    name,
    template: 'metric',
    fields: { value, dimensions },
  })
  const books = { 'destination.service': 'books' }
  await handler.report?.metric?.(
    [
      metric('requestcount', 1_234_567, { ...books, code: '200', 'zo-ne': 'a"b\\\n' }),
      metric('requestcount', 1_000_000, { ...books, code: '404' }),
      ...[0.5, 1, 20, 4096.25, 1e6, 3e9].map((size) => metric('requestsize', size, { reporter: 'source' })),
      metric('gauge', 0.00001),
    ],
    { batchId: 'b-1', deadline: 0, signal: new AbortController().signal },
  )
  return (await env.exposed.get('/metrics')?.()) ?? ''
}

describe('the text of the prometheus adapter', () => {
  it('is what Mixer wrote, where it is to be', async () => {
    expect(await exposed(true)).toBe(OF_MIXER)
  })

  const promtool = findTool('promtool')
  it.skipIf(promtool === undefined).each([false, true])(
    'is read by Prometheus (as of Mixer: %s)',
    async (mixerText) => {
      // It also tells bad style, such as a gauge without a unit, by status 3; what it cannot read by status 1.
      const check = async () => {
        try {
          return execFileSync(promtool ?? '', ['check', 'metrics'], {
            input: await exposed(mixerText),
            encoding: 'utf8',
          })
        } catch (error) {
          return `status ${(error as { readonly status: number }).status}: ${(error as { readonly stderr: string }).stderr}`
        }
      }
      expect(await check()).not.toContain('status 1')
    },
  )
})

describe('a number as Go prints it', () => {
  it.each([
    [0, '0'],
    [-0, '0'],
    [999_999, '999999'],
    [1e6, '1e+06'],
    [1_234_567, '1.234567e+06'],
    [12_345_678.5, '1.23456785e+07'],
    [-21_000_000, '-2.1e+07'],
    [1e21, '1e+21'],
    [0.0001, '0.0001'],
    [0.000123456, '0.000123456'],
    [0.00001, '1e-05'],
    [1.5e-7, '1.5e-07'],
    [5e-324, '5e-324'],
    [1.7976931348623157e308, '1.7976931348623157e+308'],
    [123_456_789_012_345_680_000, '1.2345678901234568e+20'],
    [2.65, '2.65'],
    [Number.NaN, 'NaN'],
    [Number.NEGATIVE_INFINITY, '-Inf'],
  ])('%d is %s', (value, text) => {
    expect(goNumber(value)).toBe(text)
  })

  it('reads back as the same number', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Number(goNumber(value))).toBe(value === 0 ? 0 : value)
      }),
    )
  })
})
