import { create, toBinary } from '@bufbuild/protobuf'
import { Client, credentials, type ServiceError, status as grpcStatus } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createGrpcServer, type GrpcServer } from '../../src/server/grpc.ts'
import { healthService } from '../../src/server/grpc-health.ts'
import type { GrpcService } from '../../src/server/grpc-service.ts'
import { CheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import {
  type HealthCheckRequest,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../src/wire/generated/grpc/health/v1/health_pb.ts'
import { answerOf, dependencies } from './fixtures.ts'

const { Check: checkMethod, Watch: watchMethod } = healthService([]).definition

/** A check about a connection: the least that there is. */
const connection = Buffer.from(
  toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes: { source: { address: {} } } })),
)

describe('the gRPC server', () => {
  let given: ReturnType<typeof dependencies>
  let server: GrpcServer
  let client: Client

  const echo: GrpcService = {
    name: 'test.Echo',
    definition: {
      Say: {
        path: '/test.Echo/Say',
        requestStream: false,
        responseStream: false,
        requestSerialize: (bytes: Buffer) => bytes,
        requestDeserialize: (bytes) => bytes,
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes) => bytes,
      },
    },
    implementation: {
      Say: (call: { request: Buffer }, reply: (error: null, bytes: Buffer) => void) => reply(null, call.request),
    },
  }

  beforeEach(async () => {
    given = dependencies()
    server = createGrpcServer({ ...given, services: [echo], maxMessageBytes: 1_000 })
    const port = await server.listen({ host: '127.0.0.1', port: 0 })
    client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  })
  afterEach(async () => {
    client.close()
    await server.drain(1_000)
  })

  function call(path: string, bytes: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest<Buffer, Buffer>(
        path,
        (request) => request,
        (response) => response,
        bytes,
        (error, response) => (response === undefined ? reject(error ?? new Error('no response')) : resolve(response)),
      )
    })
  }

  function health(service: string): Promise<HealthCheckResponse> {
    if (checkMethod === undefined) throw new Error('no method')
    const { path, requestSerialize, responseDeserialize } = checkMethod
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest<HealthCheckRequest, HealthCheckResponse>(
        path,
        requestSerialize,
        responseDeserialize,
        create(HealthCheckRequestSchema, { service }),
        (error, response) => (response === undefined ? reject(error ?? new Error('no response')) : resolve(response)),
      )
    })
  }

  it('serves services that are handed to it', async () => {
    expect((await call('/test.Echo/Say', Buffer.from('hello'))).toString()).toBe('hello')
    expect((await health('test.Echo')).status).toBe(Serving.SERVING)
  })

  it('refuses messages beyond its bound', async () => {
    const failure = call('/test.Echo/Say', Buffer.alloc(2_000))
    await expect(failure).rejects.toMatchObject({ code: grpcStatus.RESOURCE_EXHAUSTED })
  })

  it('says that it serves, and knows no other services', async () => {
    expect((await health('')).status).toBe(Serving.SERVING)
    expect((await health('envoy.service.auth.v3.Authorization')).status).toBe(Serving.SERVING)
    await expect(health('other')).rejects.toMatchObject({ code: grpcStatus.NOT_FOUND })
  })

  it('tells watchers that it drains and then ends their streams', async () => {
    if (watchMethod === undefined) throw new Error('no method')
    const seen: number[] = []
    const stream = client.makeServerStreamRequest<HealthCheckRequest, HealthCheckResponse>(
      watchMethod.path,
      watchMethod.requestSerialize,
      watchMethod.responseDeserialize,
      create(HealthCheckRequestSchema, { service: '' }),
    )
    const first = new Promise<void>((resolve) => stream.once('data', () => resolve()))
    stream.on('data', ({ status }: HealthCheckResponse) => seen.push(status))
    const ended = new Promise((resolve) => stream.on('end', () => resolve(undefined)))
    await first
    await server.drain(5_000)
    await ended
    expect(seen).toEqual([Serving.SERVING, Serving.NOT_SERVING])
  })

  it('says that it will end while it serves on', async () => {
    server.retire()
    expect((await health('')).status).toBe(Serving.NOT_SERVING)
    expect((await call('/test.Echo/Say', Buffer.from('hello'))).toString()).toBe('hello')
  })

  it('finishes calls under way before it ends, and takes no new ones', async () => {
    let answer: (() => void) | undefined
    const asked = new Promise<void>((started) => {
      given.check.decide = () => {
        started()
        return new Promise((resolve) => {
          answer = () => resolve({ answer: answerOf(), quotas: new Map() })
        })
      }
    })
    const underway = call('/envoy.service.auth.v3.Authorization/Check', connection)
    await asked
    const drained = server.drain(10_000)
    answer?.()
    await expect(underway).resolves.toBeInstanceOf(Buffer)
    await drained
    await expect(health('')).rejects.toMatchObject({ code: grpcStatus.UNAVAILABLE })
  })

  it('cuts off what is left at the deadline', async () => {
    const asked = new Promise<void>((started) => {
      given.check.decide = () => {
        started()
        return new Promise(() => {})
      }
    })
    const underway = call('/envoy.service.auth.v3.Authorization/Check', connection).catch(
      (error: ServiceError) => error,
    )
    await asked
    await server.drain(50)
    expect(await underway).toBeInstanceOf(Error)
  })

  it('rejects where its address is taken', async () => {
    const other = createGrpcServer(dependencies())
    const third = createGrpcServer(dependencies())
    const port = await other.listen({ host: '127.0.0.1', port: 0 })
    await expect(third.listen({ host: '127.0.0.1', port })).rejects.toThrow()
    await Promise.all([other.drain(100), third.drain(100)])
  })
})
