// Rate limits at a sidecar: what nodes say, as they say it, and for a moment what they have just refused.
import { create, toBinary } from '@bufbuild/protobuf'
import { beforeEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import { Code } from '../../src/kernel/status.ts'
import { type GrpcCall, GrpcFailure, type UnaryMethod } from '../../src/server/grpc-service.ts'
import { passedRateLimits } from '../../src/sidecar/passed-rate-limits.ts'
import {
  RateLimitRequestSchema,
  RateLimitResponse_Code as LimitCode,
  RateLimitResponseSchema,
} from '../../src/wire/generated/envoy/service/ratelimit/v3/rls_pb.ts'
import { FakeClock } from '../helpers/clock.ts'
import { dependencies } from '../server/fixtures.ts'

const call: GrpcCall = { deadline: Number.POSITIVE_INFINITY, peer: 'unix:' }

const demand = (user: string, hitsAddend = 0) =>
  toBinary(
    RateLimitRequestSchema,
    create(RateLimitRequestSchema, {
      domain: 'shop',
      hitsAddend,
      descriptors: [{ entries: [{ key: 'user', value: user }] }],
    }),
  )

const response = (code: LimitCode, seconds = 30) =>
  toBinary(
    RateLimitResponseSchema,
    create(RateLimitResponseSchema, {
      overallCode: code,
      statuses: [
        { code: LimitCode.OK, durationUntilReset: { seconds: 1n } },
        { code, durationUntilReset: { seconds: BigInt(seconds) } },
      ],
    }),
  )

describe('the rate limit service of a sidecar', () => {
  let clock: FakeClock
  let given: ReturnType<typeof dependencies>
  let asked: { readonly path: string; readonly tenant: string; readonly affinity: string; readonly timeoutMs: number }[]
  let says: () => Uint8Array
  let answer: (bytes: Uint8Array, of?: GrpcCall) => Promise<Uint8Array | GrpcFailure>

  beforeEach(() => {
    clock = new FakeClock()
    given = { ...dependencies(), clock }
    asked = []
    says = () => response(LimitCode.OK)
    const nodes = {
      async call(path: string, _message: Uint8Array, how: { tenant: string; affinity: string; timeoutMs: number }) {
        asked.push({ path, ...how })
        return says()
      },
    }
    const { methods } = passedRateLimits({ ...given, nodes, defaultTimeoutMs: 700 })
    const method = methods[0] as UnaryMethod
    answer = async (bytes, of = call) => await method.answer(bytes, of)
  })

  it('gives what a node says, and sends the same demand to the same node', async () => {
    says = () => response(LimitCode.OK, 7)
    expect(await answer(demand('ann'))).toEqual(response(LimitCode.OK, 7))
    expect(await answer(demand('ann'))).toEqual(response(LimitCode.OK, 7))
    await answer(demand('bob'))
    expect(asked).toHaveLength(3)
    const [first, second, third] = asked
    expect(first).toMatchObject({
      path: '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit',
      tenant: 'shop',
      timeoutMs: 700,
    })
    expect(second?.affinity).toBe(first?.affinity)
    expect(third?.affinity).not.toBe(first?.affinity)
    expect(given.meter.counts.get('server_requests_total{rate_limit,OK}')).toBe(3)
  })

  it.each([
    ['for 100 ms where the window lasts', 30, 99, 101],
    ['for 10 ms where it may end at any moment', 1, 9, 11],
  ])('remembers a refusal, %s', async (_what, seconds, before, after) => {
    says = () => response(LimitCode.OVER_LIMIT, seconds)
    const refused = response(LimitCode.OVER_LIMIT, seconds)
    expect(await answer(demand('ann'))).toEqual(refused)
    await clock.advance(before)
    expect(await answer(demand('ann'))).toEqual(refused)
    expect(asked).toHaveLength(1)
    // Fewer hits, and others, may have room.
    await answer(demand('ann', 2))
    await answer(demand('bob'))
    expect(asked).toHaveLength(3)
    await clock.advance(after - before)
    await answer(demand('ann'))
    expect(asked).toHaveLength(4)
    expect(given.meter.counts.get('rate_limit_remembered_total{}')).toBe(1)
    expect(given.meter.counts.get('server_requests_total{rate_limit,RESOURCE_EXHAUSTED}')).toBe(5)
  })

  it('remembers so many refusals, and forgets the oldest', async () => {
    says = () => response(LimitCode.OVER_LIMIT)
    for (let user = 0; user <= 2_000; user++) await answer(demand(`user-${user}`))
    await answer(demand('user-2000'))
    expect(asked).toHaveLength(2_001)
    await answer(demand('user-0'))
    expect(asked).toHaveLength(2_002)
  })

  it.each([
    ['DEADLINE_EXCEEDED', Code.DEADLINE_EXCEEDED],
    ['NOT_READY', Code.UNAVAILABLE],
    ['NOT_FOUND', Code.NOT_FOUND],
  ] as const)('fails as the node did: %s', async (code, status) => {
    says = () => {
      throw new IntermixError(code, 'so it is')
    }
    expect(await answer(demand('ann'))).toEqual(new GrpcFailure(status, 'so it is'))
    expect(given.log.errors).toEqual([])
  })

  it('asks nobody for what is no demand, or comes too late', async () => {
    expect(await answer(Buffer.from([0xff]))).toMatchObject({ code: Code.INVALID_ARGUMENT })
    const late = { ...call, deadline: clock.now() }
    expect(await answer(demand('ann'), late)).toMatchObject({ code: Code.DEADLINE_EXCEEDED })
    expect(asked).toEqual([])
  })
})
