import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { type Client, status as grpcStatus } from '@grpc/grpc-js'
import { beforeEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import {
  type LimitMetadata,
  type MetadataValue,
  type RateLimitAnswer,
  type RateLimitDemand,
  UNLIMITED,
} from '../../src/kernel/rate-limit.ts'
import type { RateLimitService } from '../../src/kernel/services.ts'
import type { RateLimitHeaders } from '../../src/server/rate-limit-response.ts'
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../src/wire/generated/grpc/health/v1/health_pb.ts'
import {
  RateLimitRequestSchema,
  type RateLimitRequest,
  type RateLimitResponse,
  RateLimitResponse_Code as Code,
  RateLimitResponse_RateLimit_Unit as Unit,
  RateLimitResponseSchema,
} from '../../src/wire/generated/envoy/service/ratelimit/v3/rls_pb.ts'
import { dependencies, served } from './fixtures.ts'
import { serveGrpc } from './grpc-client.ts'
import { clientMethod, healthCheck } from './grpc-method.ts'

const PATH = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit'
const limit = { requestsPerUnit: 5, unit: 'week', name: 'few' } as const
const over = { isOver: true, limit, remaining: 0, resetSeconds: 70 }
const ANSWER: RateLimitAnswer = {
  isOver: true,
  statuses: [
    { isOver: false, limit: undefined, remaining: 0, resetSeconds: 0 },
    over,
    { isOver: false, limit: undefined, remaining: UNLIMITED, resetSeconds: 0 },
  ],
  nearest: over,
}

class Recording implements RateLimitService {
  readonly asked: RateLimitDemand[] = []
  decide: () => RateLimitAnswer | Promise<RateLimitAnswer> = () => ANSWER

  shouldRateLimit(demand: RateLimitDemand): RateLimitAnswer | Promise<RateLimitAnswer> {
    this.asked.push(demand)
    return this.decide()
  }
}

describe('the rate limit service over gRPC', () => {
  let given: ReturnType<typeof dependencies>
  let service: Recording
  let client: Client
  const method = clientMethod(PATH, RateLimitRequestSchema, RateLimitResponseSchema)

  async function serve(headers: RateLimitHeaders, metadata = false): Promise<void> {
    given = dependencies()
    service = new Recording()
    ;({ client } = await serveGrpc(served({ ...given, rateLimit: { service, headers, metadata } })))
  }
  beforeEach(() => serve('none'))

  function ask(request: MessageInitShape<typeof RateLimitRequestSchema>): Promise<RateLimitResponse> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest<RateLimitRequest, RateLimitResponse>(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        create(RateLimitRequestSchema, request),
        (error, response) => (response === undefined ? reject(error ?? new Error('no response')) : resolve(response)),
      )
    })
  }

  it('hands on what is asked and answers with a status for each descriptor', async () => {
    const entries = [{ key: 'a', value: '1' }]
    const response = await ask({ domain: 'd', hitsAddend: 3, descriptors: [{ entries, hitsAddend: 0n }] })
    expect(service.asked).toEqual([{ domain: 'd', hitsAddend: 3, descriptors: [{ entries, hitsAddend: 0 }] }])
    expect(response.overallCode).toBe(Code.OVER_LIMIT)
    expect(response.statuses.map(({ code }) => code)).toEqual([Code.OK, Code.OVER_LIMIT, Code.OK])
    expect(response.statuses[0]).toMatchObject({ limitRemaining: 0 })
    expect(response.statuses[0]?.currentLimit).toBeUndefined()
    expect(response.statuses[0]?.durationUntilReset).toBeUndefined()
    expect(response.statuses[1]?.currentLimit).toMatchObject({ requestsPerUnit: 5, unit: Unit.WEEK, name: 'few' })
    expect(response.statuses[1]?.durationUntilReset?.seconds).toBe(70n)
    expect(response.statuses[2]?.limitRemaining).toBe(0xffff_ffff)
    expect(response.responseHeadersToAdd).toEqual([])
    expect(given.meter.counts.get('server_requests_total{rate_limit,RESOURCE_EXHAUSTED}')).toBe(1)
  })

  it.each([
    ['x-ratelimit', 'X-RateLimit-'],
    ['ratelimit', 'RateLimit-'],
  ] as const)('tells of the nearest limit in headers: %s', async (headers, prefix) => {
    await serve(headers)
    const sent = (await ask({ domain: 'd' })).responseHeadersToAdd.map(({ key, value }) => `${key}: ${value}`)
    expect(sent).toEqual([`${prefix}Limit: 5`, `${prefix}Remaining: 0`, `${prefix}Reset: 70`])
    service.decide = () => Promise.resolve({ isOver: false, statuses: [], nearest: undefined })
    const response = await ask({ domain: 'd' })
    expect(response).toMatchObject({ overallCode: Code.OK, responseHeadersToAdd: [] })
  })

  it('tells in dynamic metadata what was asked, and what is said beside the limits that let it pass', async () => {
    expect((await ask({ domain: 'd' })).dynamicMetadata).toBeUndefined()
    await serve('none', true)
    const status = (isOver: boolean, metadata?: LimitMetadata) => ({
      isOver,
      limit: { ...limit, metadata },
      remaining: 0,
      resetSeconds: 0,
    })
    const deep = (key: string) => new Map([['of', new Map([[key, 1.5]])]])
    const first = new Map<string, MetadataValue>([
      ['tier', 'free'],
      ['none', null],
      ['off', false],
      ['on', true],
      ['empty', ''],
      ['list', [1, new Map([['deep', 'ü'.repeat(100)]])]],
      ['__proto__', deep('a')],
    ])
    const second = new Map<string, MetadataValue>([
      ['tier', 'paid'],
      ['__proto__', deep('b')],
    ])
    const statuses = [status(true, deep('refused')), status(false, first), status(false), status(false, second)]
    service.decide = () => ({ isOver: true, statuses, nearest: undefined })
    const entries = [
      { key: 'a', value: '1' },
      { key: 'b', value: '' },
    ]
    const descriptors = [
      { entries, limit: { requestsPerUnit: 7, unit: Unit.MINUTE } },
      { entries: [], limit: { requestsPerUnit: 0, unit: Unit.WEEK }, hitsAddend: 0n },
    ]
    expect((await ask({ domain: 'd', hitsAddend: 3, descriptors })).dynamicMetadata).toEqual({
      domain: 'd',
      descriptors: [
        { entries: ['a=1', 'b='], limit: 'requests_per_unit:7 unit:MINUTE' },
        { entries: [], limit: 'unit:WEEK', hitsAddend: 0 },
      ],
      hitsAddend: 3,
      metadata: {
        tier: 'free',
        none: null,
        off: false,
        on: true,
        empty: '',
        list: [1, { deep: 'ü'.repeat(100) }],
        ['__proto__']: { of: { a: 1.5, b: 1.5 } },
      },
    })
    service.decide = () => ({ isOver: true, statuses: [status(true, first)], nearest: undefined })
    expect((await ask({ domain: 'd' })).dynamicMetadata).toEqual({ domain: 'd', descriptors: [] })
  })

  it('fails the call where there is no answer, so that the failure mode of the proxy decides', async () => {
    service.decide = () => Promise.reject(new IntermixError('NOT_READY', 'not yet'))
    await expect(ask({ domain: 'd' })).rejects.toMatchObject({ code: grpcStatus.UNAVAILABLE, details: 'not yet' })
    service.decide = () => {
      throw new IntermixError('INVALID_REQUEST', 'the domain is empty')
    }
    await expect(ask({})).rejects.toMatchObject({ code: grpcStatus.INVALID_ARGUMENT, details: 'the domain is empty' })
    service.decide = () => {
      throw new Error('a secret of ours')
    }
    await expect(ask({})).rejects.toMatchObject({ code: grpcStatus.INTERNAL, details: 'internal error' })
    expect(given.log.errors.map(({ message }) => message)).toEqual(['a call of the rate limit service failed'])
  })

  it('is there only where rate limits are configured', async () => {
    const service = 'envoy.service.ratelimit.v3.RateLimitService'
    const status = (of: Client) =>
      new Promise((resolve) => {
        of.makeUnaryRequest(
          healthCheck.path,
          healthCheck.requestSerialize,
          healthCheck.responseDeserialize,
          create(HealthCheckRequestSchema, { service }),
          (error, response) => resolve(error?.code ?? response?.status),
        )
      })
    expect(await status(client)).toBe(ServingStatus.SERVING)
    expect(await status((await serveGrpc(served(dependencies()))).client)).toBe(grpcStatus.NOT_FOUND)
  })
})
