import { create, toBinary } from '@bufbuild/protobuf'
import { type Client, type ServiceError, status as grpcStatus } from '@grpc/grpc-js'
import { beforeEach, describe, expect, it } from 'vitest'
import type { GrpcServer } from '../../src/server/grpc-server.ts'
import { GRPC_DOORS, grpcServices } from '../../src/server/grpc-doors.ts'
import { GrpcFailure, type GrpcService } from '../../src/server/grpc-service.ts'
import { CheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import {
  type HealthCheckRequest,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../src/wire/generated/grpc/health/v1/health_pb.ts'
import { answerOf, dependencies, served } from './fixtures.ts'
import { serveGrpc } from './grpc-client.ts'
import { healthCheck, healthWatch } from './grpc-method.ts'
import { createGrpcServer } from './transport.ts'

/** A check about a connection: the least that there is. */
const connection = Buffer.from(
  toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes: { source: { address: {} } } })),
)

describe('the gRPC server', () => {
  let given: ReturnType<typeof dependencies>
  let server: GrpcServer
  let client: Client

  /** Says back what it hears, ten times a message where it chats; fails, throws and stays on demand. */
  let chats: { peer: string; deadline: number; pauses: number; closed: boolean }[]
  const echo: GrpcService = {
    name: 'test.Echo',
    methods: [
      {
        kind: 'unary',
        path: '/test.Echo/Say',
        answer(request) {
          const text = Buffer.from(request).toString()
          if (text === 'fail') return new GrpcFailure(grpcStatus.DATA_LOSS, 'as asked')
          if (text === 'fail later') return Promise.resolve(new GrpcFailure(grpcStatus.DATA_LOSS, 'as asked'))
          if (text === 'throw') throw new Error('secret')
          if (text === 'reject') return Promise.reject(new Error('secret'))
          return request
        },
      },
      {
        kind: 'stream',
        path: '/test.Echo/Chat',
        open(stream) {
          const chat = { peer: stream.peer, deadline: stream.deadline, pauses: 0, closed: false }
          chats.push(chat)
          let stays = false
          return {
            message(bytes) {
              const text = Buffer.from(bytes).toString()
              stays = text === 'stay'
              if (text === 'throw') throw new Error('secret')
              if (text === 'fail') return stream.end(new GrpcFailure(grpcStatus.ABORTED, 'was fun'))
              let room = true
              for (let time = 0; time < 10; time++) room = stream.write(bytes)
              if (room) return
              chat.pauses++
              stream.pause()
            },
            drained: () => stream.resume(),
            halfClosed() {
              if (!stays) stream.end()
            },
            closed: () => {
              chat.closed = true
            },
          }
        },
      },
    ],
  }

  beforeEach(async () => {
    given = dependencies()
    chats = []
    const services = grpcServices(given, [...GRPC_DOORS, () => echo])
    ;({ server, client } = await serveGrpc({ ...given, services, maxMessageBytes: 1_000 }))
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
    const { path, requestSerialize, responseDeserialize } = healthCheck
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

  it.each(['fail', 'fail later'])('gives the failure that a method answers with: %s', async (text) => {
    const failure = call('/test.Echo/Say', Buffer.from(text))
    await expect(failure).rejects.toMatchObject({ code: grpcStatus.DATA_LOSS, details: 'as asked' })
  })

  it.each(['throw', 'reject'])('tells nobody but the log what a method threw: %s', async (text) => {
    const failure = call('/test.Echo/Say', Buffer.from(text))
    await expect(failure).rejects.toMatchObject({ code: grpcStatus.INTERNAL, details: 'internal error' })
    expect(given.log.errors).toHaveLength(1)
    expect(given.log.errors[0]?.message).toBe('/test.Echo/Say threw')
  })

  function chat(options: { deadline?: number } = {}) {
    const same = (bytes: Buffer) => bytes
    const stream = client.makeBidiStreamRequest<Buffer, Buffer>('/test.Echo/Chat', same, same, options)
    const ended = new Promise<ServiceError>((resolve) => stream.once('error', resolve))
    return { stream, ended }
  }

  it('takes and sends the messages of a stream, holding back who does not read', async () => {
    const deadline = Date.now() + 60_000
    const { stream } = chat({ deadline })
    for (let message = 0; message < 50; message++) stream.write(Buffer.from(String(message).padEnd(900)))
    stream.end()
    await expect.poll(() => chats[0]?.pauses).toBeGreaterThan(0)
    const heard: number[] = []
    stream.on('data', (bytes: Buffer) => heard.push(Number(bytes.toString())))
    await new Promise((resolve) => stream.once('end', resolve))
    expect(heard).toEqual(Array.from({ length: 500 }, (_, at) => Math.floor(at / 10)))
    expect(chats[0]).toMatchObject({ closed: false, peer: expect.stringMatching(/^127\.0\.0\.1:/) })
    expect(Math.abs((chats[0]?.deadline ?? 0) - deadline)).toBeLessThan(30_000)
  })

  it('tells a stream that its caller has gone', async () => {
    const { stream, ended } = chat()
    stream.write(Buffer.from('stay'))
    await new Promise((resolve) => stream.once('data', resolve))
    expect(chats[0]?.deadline).toBe(Number.POSITIVE_INFINITY)
    stream.cancel()
    await ended
    await expect.poll(() => chats[0]?.closed).toBe(true)
  })

  it('ends a stream with a failure', async () => {
    const { stream, ended } = chat()
    stream.resume()
    stream.write(Buffer.from('fail'))
    expect(await ended).toMatchObject({ code: grpcStatus.ABORTED, details: 'was fun' })
  })

  it('ends a stream whose method throws', async () => {
    const { stream, ended } = chat()
    stream.resume()
    stream.write(Buffer.from('throw'))
    expect(await ended).toMatchObject({ code: grpcStatus.INTERNAL, details: 'internal error' })
    expect(given.log.errors[0]?.message).toBe('/test.Echo/Chat threw')
  })

  it.each([
    ['none', []],
    ['two', [Buffer.alloc(0), Buffer.alloc(0)]],
  ])('refuses a watch with %s instead of one request', async (_what, requests: readonly Buffer[]) => {
    const same = (bytes: Buffer) => bytes
    const stream = client.makeBidiStreamRequest<Buffer, Buffer>(healthWatch.path, same, same)
    stream.resume()
    const ended = new Promise<ServiceError>((resolve) => stream.once('error', resolve))
    for (const request of requests) stream.write(request)
    stream.end()
    expect((await ended).code).toBe(grpcStatus.UNIMPLEMENTED)
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
    const seen: number[] = []
    const stream = client.makeServerStreamRequest<HealthCheckRequest, HealthCheckResponse>(
      healthWatch.path,
      healthWatch.requestSerialize,
      healthWatch.responseDeserialize,
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
    const other = createGrpcServer(served(dependencies()))
    const third = createGrpcServer(served(dependencies()))
    const port = await other.listen({ host: '127.0.0.1', port: 0 })
    await expect(third.listen({ host: '127.0.0.1', port })).rejects.toThrow()
    await Promise.all([other.drain(100), third.drain(100)])
  })
})
