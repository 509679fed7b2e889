import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { type Client, type ClientDuplexStream, type StatusObject, status as grpcStatus } from '@grpc/grpc-js'
import { beforeEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import type {
  BucketAction,
  BucketUsage,
  QuotaAssignments,
  QuotaProxy,
  Strategy,
} from '../../src/kernel/quota-buckets.ts'
import { Code } from '../../src/kernel/status.ts'
import type { GrpcFailure, GrpcStream } from '../../src/server/grpc-service.ts'
import type { GrpcServer } from '../../src/server/grpc-server.ts'
import { rateLimitQuotaService } from '../../src/server/rate-limit-quota.ts'
import {
  RateLimitQuotaResponseSchema,
  RateLimitQuotaUsageReportsSchema,
} from '../../src/wire/generated/envoy/service/rate_limit_quota/v3/rlqs_pb.ts'
import { RateLimitStrategy_BlanketRule as BlanketRule } from '../../src/wire/generated/envoy/type/v3/ratelimit_strategy_pb.ts'
import { FakeClock } from '../helpers/clock.ts'
import { handAdmission } from './admission-support.ts'
import { dependencies, served } from './fixtures.ts'
import { serveGrpc } from './grpc-client.ts'

const PATH = '/envoy.service.rate_limit_quota.v3.RateLimitQuotaService/StreamRateLimitQuotas'
const BUCKET = [{ key: 'api_key', value: 'a' }]

/** Assigns what a test says. */
class HandAssignments implements QuotaAssignments {
  readonly domains: string[] = []
  readonly reports: BucketUsage[] = []
  closed = 0
  /** What each report of a bucket is answered with. */
  strategies: readonly Strategy[] = []
  fails: IntermixError | Error | undefined
  send: (action: BucketAction) => void = () => undefined

  open(domain: string, send: (action: BucketAction) => void): QuotaProxy {
    this.domains.push(domain)
    this.send = send
    return {
      report: (usages) => {
        if (this.fails !== undefined) throw this.fails
        this.reports.push(...usages)
        for (const { bucket } of usages) for (const strategy of this.strategies) this.assign(strategy, bucket)
      },
      close: () => void this.closed++,
    }
  }

  assign(strategy: Strategy, bucket: BucketAction['bucket'] = BUCKET): void {
    this.send({ bucket, kind: 'assign', strategy, ttlSeconds: 15 })
  }
}

const usage = (...pairs: readonly (readonly [string, string])[]) => ({
  bucketId: { bucket: Object.fromEntries(pairs) },
  timeElapsed: { seconds: 5n },
  numRequestsAllowed: 3n,
  numRequestsDenied: 1n,
})
const encode = (reports: MessageInitShape<typeof RateLimitQuotaUsageReportsSchema>): Buffer =>
  Buffer.from(toBinary(RateLimitQuotaUsageReportsSchema, create(RateLimitQuotaUsageReportsSchema, reports)))

/** Actions as a test reads them: strategy, size, fill, seconds to live. */
function readActions(message: Uint8Array): unknown[] {
  return fromBinary(RateLimitQuotaResponseSchema, message).bucketAction.map(({ bucketId, bucketAction }) => {
    const id = Object.entries(bucketId?.bucket ?? {}).join()
    if (bucketAction.case !== 'quotaAssignmentAction') return [id, bucketAction.case]
    const { rateLimitStrategy, assignmentTimeToLive } = bucketAction.value
    const ttl = Number(assignmentTimeToLive?.seconds)
    const strategy = rateLimitStrategy?.strategy
    if (strategy?.case === 'blanketRule')
      return [id, strategy.value === BlanketRule.DENY_ALL ? 'DENY_ALL' : 'ALLOW_ALL', ttl]
    if (strategy?.case !== 'tokenBucket') return [id, 'nothing', ttl]
    const { maxTokens, tokensPerFill, fillInterval } = strategy.value
    return [id, maxTokens, `${tokensPerFill} in ${fillInterval?.seconds}`, ttl]
  })
}

describe('the rate limit quota service over gRPC', () => {
  let given: ReturnType<typeof dependencies>
  let assignments: HandAssignments
  let server: GrpcServer
  let client: Client

  beforeEach(async () => {
    given = dependencies()
    assignments = new HandAssignments()
    const service = { shouldRateLimit: () => Promise.reject(new Error('not asked here')) }
    const rateLimit = { service, headers: 'none', assignments } as const
    ;({ server, client } = await serveGrpc(served({ ...given, rateLimit })))
  })

  function open() {
    const bytes = (message: Buffer) => message
    const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(PATH, bytes, bytes)
    const actions: unknown[] = []
    stream.on('data', (message: Buffer) => actions.push(...readActions(message)))
    stream.on('error', () => undefined)
    const ended = new Promise<StatusObject>((resolve) => stream.on('status', resolve))
    return { stream, actions, ended }
  }

  it('hands on what was used, and tells the proxy how to go on', async () => {
    const { stream, actions, ended } = open()
    stream.write(encode({ domain: 'd', bucketQuotaUsages: [usage(['b', '2'], ['a', '1'])] }))
    await expect
      .poll(() => assignments.reports)
      .toEqual([
        // By name, however the proxy wrote them.
        {
          bucket: [
            { key: 'a', value: '1' },
            { key: 'b', value: '2' },
          ],
          elapsedMs: 5_000,
          allowed: 3,
          denied: 1,
        },
      ])
    const told: readonly (readonly [Strategy, unknown])[] = [
      [{ kind: 'allow' }, [['api_key,a', 'ALLOW_ALL', 15]]],
      [{ kind: 'deny' }, [['api_key,a', 'DENY_ALL', 15]]],
      [{ kind: 'rate', perSecond: 20 }, [['api_key,a', 20, '20 in 1', 15]]],
      [{ kind: 'requests', requests: 7, isNew: false }, [['api_key,a', 7, '1 in 31536000', 15]]],
      // Another token bucket would be filled as the one before was.
      [
        { kind: 'requests', requests: 7, isNew: true },
        [
          ['api_key,a', 'DENY_ALL', 15],
          ['api_key,a', 7, '1 in 31536000', 15],
        ],
      ],
    ]
    for (const [strategy, expected] of told) {
      actions.length = 0
      assignments.assign(strategy)
      await expect.poll(() => actions).toEqual(expected)
    }
    actions.length = 0
    assignments.send({ bucket: BUCKET, kind: 'abandon' })
    await expect.poll(() => actions).toEqual([['api_key,a', 'abandonAction']])
    stream.end()
    expect((await ended).code).toBe(grpcStatus.OK)
    await expect.poll(() => assignments.closed).toBe(1)
    expect(given.meter.counts.get('server_requests_total{rate_limit_quota,OK}')).toBe(1)
  })

  it('says together what was decided together, the newest of each bucket', async () => {
    const { stream, actions } = open()
    assignments.strategies = [{ kind: 'deny' }, { kind: 'requests', requests: 7, isNew: true }]
    stream.write(encode({ domain: 'd', bucketQuotaUsages: [usage(['a', '1']), usage(['a', '2'])] }))
    await expect.poll(() => actions).toHaveLength(4)
    actions.length = 0
    // What begins anew has not begun where it has not been told yet.
    assignments.strategies = [
      { kind: 'requests', requests: 7, isNew: true },
      { kind: 'requests', requests: 7, isNew: false },
    ]
    stream.write(encode({ bucketQuotaUsages: [usage(['a', '1'])] }))
    await expect.poll(() => actions).toHaveLength(2)
    stream.cancel()
    await expect.poll(() => assignments.closed).toBe(1)
  })

  it('has one domain in a stream, which the first report names', async () => {
    const { stream, ended } = open()
    stream.write(encode({ domain: 'd', bucketQuotaUsages: [usage(['a', '1'])] }))
    stream.write(encode({ domain: 'd', bucketQuotaUsages: [usage(['a', '1'])] }))
    stream.write(encode({ domain: 'other', bucketQuotaUsages: [usage(['a', '1'])] }))
    const { code, details } = await ended
    expect([code, details]).toEqual([
      grpcStatus.INVALID_ARGUMENT,
      'this stream is of the domain "d": begin another one for "other"',
    ])
    expect([assignments.domains, assignments.reports.length, assignments.closed]).toEqual([['d'], 2, 1])
    expect(given.meter.counts.get('requests_refused_total{rate_limit_quota,invalid}')).toBe(1)
  })

  it('ends a stream that it cannot read', async () => {
    // A domain that ends too late, and a bucket that does.
    for (const bytes of [
      [0x0a, 0x7f],
      [0x12, 0x02, 0x0a, 0x7f],
    ]) {
      const { stream, ended } = open()
      stream.write(Buffer.from(bytes))
      const { code, details } = await ended
      expect(code).toBe(grpcStatus.INVALID_ARGUMENT)
      expect(details).toMatch(/^malformed/)
    }
    const boastful = open()
    const numRequestsAllowed = 2n ** 60n
    boastful.stream.write(encode({ domain: 'd', bucketQuotaUsages: [{ ...usage(['a', '1']), numRequestsAllowed }] }))
    expect((await boastful.ended).details).toMatch(/^num_requests_allowed must be at most/)
  })

  it('counts what it can read of a report, whatever clients had its buckets made of', async () => {
    const { stream } = open()
    const odd = encode({ domain: 'd', bucketQuotaUsages: [usage(['a', 'x'.repeat(9_000)]), usage(['a', 'gr\u00fcn'])] })
    odd[odd.indexOf('\u00fc') + 1] = 0xff
    const many = encode({ bucketQuotaUsages: Array.from({ length: 10_002 }, (_, at) => usage(['a', `${at}`])) })
    stream.write(odd)
    stream.write(many)
    await expect.poll(() => assignments.reports.length).toBe(10_001)
    expect(assignments.reports[0]?.bucket).toEqual([{ key: 'a', value: 'gr??n' }])
    const { counts } = given.meter
    expect(counts.get('rate_limit_quota_refused_total{id}')).toBe(1)
    expect(counts.get('rate_limit_quota_refused_total{buckets}')).toBe(2)
  })

  it('fails as the limits do, so that the proxy goes on as it is configured to', async () => {
    const fail = async (error: Error) => {
      const { stream, ended } = open()
      assignments.fails = error
      stream.write(encode({ domain: 'd', bucketQuotaUsages: [usage(['a', '1'])] }))
      const { code, details } = await ended
      return [code, details]
    }
    expect(await fail(new IntermixError('NOT_READY', 'not yet'))).toEqual([grpcStatus.UNAVAILABLE, 'not yet'])
    expect(await fail(new Error('a secret of ours'))).toEqual([grpcStatus.INTERNAL, 'internal error'])
    expect(given.log.errors.map(({ message }) => message)).toEqual(['a report of the rate limit quota service failed'])
    expect(assignments.closed).toBe(2)
  })

  it('ends its streams when the server goes', async () => {
    const { stream, ended } = open()
    stream.write(encode({ domain: 'd', bucketQuotaUsages: [usage(['a', '1'])] }))
    await expect.poll(() => assignments.domains).toEqual(['d'])
    await server.drain(1_000)
    expect((await ended).code).toBe(grpcStatus.UNAVAILABLE)
    expect(assignments.closed).toBe(1)
  })

  it('is there only where it is wanted', async () => {
    const { client: other } = await serveGrpc(served(dependencies()))
    const bytes = (message: Buffer) => message
    const stream: ClientDuplexStream<Buffer, Buffer> = other.makeBidiStreamRequest(PATH, bytes, bytes)
    stream.on('error', () => undefined)
    const { code } = await new Promise<StatusObject>((resolve) => stream.on('status', resolve))
    expect(code).toBe(grpcStatus.UNIMPLEMENTED)
  })
})

describe('one stream of it', () => {
  function opened() {
    const clock = new FakeClock()
    const { admission } = handAdmission({ maxInFlight: 2 })
    const assignments = new HandAssignments()
    const given = dependencies()
    const service = rateLimitQuotaService({ clock, log: given.log, meter: given.meter, admission, assignments })
    const [method] = service.methods
    if (method?.kind !== 'stream') throw new Error('it is a method of streams')
    const host = { isPaused: false, hasRoom: true, written: [] as unknown[][], ends: [] as (GrpcFailure | undefined)[] }
    const stream: GrpcStream = {
      deadline: Number.POSITIVE_INFINITY,
      peer: 'test',
      write: (message) => {
        host.written.push(readActions(message))
        return host.hasRoom
      },
      end: (failure) => void host.ends.push(failure),
      pause: () => void (host.isPaused = true),
      resume: () => void (host.isPaused = false),
    }
    const handler = method.open(stream)
    const report = () => handler.message(encode({ domain: 'd', bucketQuotaUsages: [usage(['a', '1'])] }))
    return { clock, admission, assignments, host, handler, report }
  }

  it('waits in an overload, and loses no report', async () => {
    const { clock, admission, assignments, host, report } = opened()
    const busy = admission.door('others', 'check')
    busy.admit(Number.POSITIVE_INFINITY)
    report()
    report()
    expect([host.isPaused, assignments.reports.length]).toEqual([true, 0])
    await clock.advance(100)
    expect(host.isPaused).toBe(true)
    busy.end()
    await clock.advance(100)
    expect([host.isPaused, assignments.reports.length]).toEqual([false, 2])
  })

  it('tells a proxy that reads slowly only the newest', async () => {
    const { clock, assignments, host, handler, report } = opened()
    host.hasRoom = false
    assignments.strategies = [{ kind: 'allow' }]
    report()
    await clock.advance(0)
    expect(host.written).toEqual([[['a,1', 'ALLOW_ALL', 15]]])
    assignments.strategies = [{ kind: 'deny' }]
    for (let each = 0; each < 3; each++) report()
    await clock.advance(0)
    expect(host.written).toHaveLength(1)
    host.hasRoom = true
    handler.drained?.()
    expect(host.written.slice(1)).toEqual([[['a,1', 'DENY_ALL', 15]]])
  })

  it('ends when nobody has been heard of for long', async () => {
    const { clock, assignments, host, report } = opened()
    await clock.advance(590_000)
    report()
    await clock.advance(590_000)
    expect(host.ends).toEqual([])
    await clock.advance(10_000)
    expect(host.ends.map((failure) => failure?.code)).toEqual([Code.DEADLINE_EXCEEDED])
    expect([assignments.closed, clock.pending]).toEqual([1, 0])
  })
})
