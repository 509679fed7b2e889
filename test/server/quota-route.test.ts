import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { inject } from '../helpers/inject.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { type RateLimitDemand, UNLIMITED } from '../../src/kernel/rate-limit.ts'
import { Code } from '../../src/kernel/status.ts'
import { createHttpServer, type HttpServer } from '../../src/server/http.ts'
import { dependencies } from './fixtures.ts'
import { HOSTS } from './hosts.ts'

interface ErrorBody {
  readonly error: { readonly message: string; readonly problems: readonly { path: string; message: string }[] }
}

const limit = { requestsPerUnit: 5, unit: 'minute', name: 'few' } as const
const STATUSES = [
  { isOver: true, limit, remaining: 0, resetSeconds: 70 },
  { isOver: false, limit: undefined, remaining: UNLIMITED, resetSeconds: 0 },
]

describe.each(HOSTS)('POST /v1/quota on %s', (_, createHost) => {
  let given: ReturnType<typeof dependencies>
  let asked: RateLimitDemand[]
  let server: HttpServer

  beforeEach(() => {
    given = dependencies()
    asked = []
    const service = {
      shouldRateLimit(demand: RateLimitDemand) {
        asked.push(demand)
        if (demand.domain === 'bad') throw new IntermixError('NOT_READY', 'not yet')
        return { isOver: true, statuses: STATUSES, nearest: undefined }
      },
    }
    server = createHttpServer({ ...given, rateLimit: { service, headers: 'none' } }, createHost)
  })
  afterEach(() => server.drain(1_000))

  const post = (payload: unknown) =>
    inject(server, {
      method: 'POST',
      url: '/v1/quota',
      payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
    })

  it('charges the quotas that it names, of the request that it describes', async () => {
    const status = { code: Code.RESOURCE_EXHAUSTED, message: 'the quota is used up' }
    given.quotas.decide = () => new Map([['requests', { status, granted: 0, validForMs: 5, referenced: [] }]])
    const response = await post({
      attributes: { 'request.path': '/a' },
      quotas: { requests: { amount: 3, bestEffort: true } },
      timeoutMs: 50,
      deduplicationId: 'x',
    })
    expect(response.statusCode).toBe(200)
    expect(response.json()).toEqual({ quotas: { requests: { status, granted: 0, validForMs: 5, referenced: [] } } })
    const [bag, demands, options] = given.quotas.asked[0] ?? []
    expect(bag?.get('request.path')).toBe('/a')
    expect(demands).toEqual(new Map([['requests', { amount: 3, bestEffort: true }]]))
    expect(options).toEqual({ timeoutMs: 50, deduplicationId: 'x' })
    expect(given.meter.counts.get('server_requests_total{http_quota,RESOURCE_EXHAUSTED}')).toBe(1)
  })

  it("charges rate limits, in the JSON form of Envoy's rate limit service", async () => {
    const entries = [{ key: 'a', value: 'b' }]
    const response = await post({
      domain: 'd',
      descriptors: [{ entries, hitsAddend: 0, limit: { requestsPerUnit: 1, unit: 'HOUR' } }, { entries }],
      hitsAddend: 2,
    })
    expect(asked).toEqual([
      {
        domain: 'd',
        descriptors: [{ entries, hitsAddend: 0, limit: { requestsPerUnit: 1, unit: 'hour' } }, { entries }],
        hitsAddend: 2,
      },
    ])
    expect(response.statusCode).toBe(200)
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(response.json()).toEqual({
      overallCode: 'OVER_LIMIT',
      statuses: [
        {
          code: 'OVER_LIMIT',
          currentLimit: { requestsPerUnit: 5, unit: 'MINUTE', name: 'few' },
          limitRemaining: 0,
          durationUntilReset: '70s',
        },
        { code: 'OK', limitRemaining: UNLIMITED },
      ],
    })
  })

  it.each([
    ['[]', ['']],
    [{ attributes: {} }, ['quotas']],
    [{ attributes: { nothing: 1 }, quotas: { a: { amount: -0.5 } } }, ['attributes.nothing', 'quotas.a.amount']],
    [{ attributes: {}, quotas: { a: {} }, quotes: {}, deduplicationId: 1 }, ['quotes', 'deduplicationId']],
    [{ domain: '', descriptors: [] }, ['domain', 'descriptors']],
    [
      { domain: 'd', descriptors: ['a', {}], attributes: {} },
      ['attributes', 'descriptors[0]', 'descriptors[1].entries'],
    ],
    [
      { domain: 'd', descriptors: [{ entries: [{ key: 1 }, 'a'], limit: { unit: 'eon' }, hitsAddend: 0.5 }] },
      [
        'descriptors[0].hitsAddend',
        'descriptors[0].entries[0]',
        'descriptors[0].entries[1]',
        'descriptors[0].limit.unit',
      ],
    ],
  ])('tells all that is wrong with %j', async (body, paths) => {
    const response = await post(body)
    expect(response.statusCode).toBe(400)
    expect(response.json<ErrorBody>().error.problems.map(({ path }) => path)).toEqual(paths)
    expect(asked).toEqual([])
    expect(given.quotas.asked).toEqual([])
    expect(given.meter.counts.get('server_requests_total{http_quota,INVALID_ARGUMENT}')).toBe(1)
  })

  it('refuses a body that says something twice', async () => {
    const response = await post('{"domain": "d", "domain": "e", "descriptors": []}')
    expect(response.statusCode).toBe(400)
    expect(response.json<ErrorBody>().error.message).toContain('the name "domain" twice')
  })

  it('says so where there is no answer', async () => {
    const descriptors = [{ entries: [{ key: 'a', value: 'b' }] }]
    expect((await post({ domain: 'bad', descriptors })).statusCode).toBe(503)
    await server.drain(1_000)
    server = createHttpServer(given, createHost)
    const response = await post({ domain: 'd', descriptors })
    expect(response.statusCode).toBe(404)
    expect(response.json<ErrorBody>().error.message).toContain('--ratelimit-config DIR')
  })
})
