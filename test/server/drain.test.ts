// A server that ends waits for answers, not for peers: each of these kept it until its deadline, which here is beyond the
// time that a test may take.
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { create, toBinary } from '@bufbuild/protobuf'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { afterEach, describe, expect, it } from 'vitest'
import { Health } from '../../src/observe/health.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { createAdapterListener } from '../../src/server/adapter-listener.ts'
import { createHttpServer } from '../../src/server/http.ts'
import { CheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { FakeClock } from '../helpers/clock.ts'
import { answerOf, dependencies, served } from './fixtures.ts'
import { HOSTS } from './hosts.ts'
import { ADMIN_HOSTS } from '../observe/admin-hosts.ts'
import { createGrpcServer } from './transport.ts'

/** A check about a connection: the least that there is. */
const CONNECTION = Buffer.from(
  toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes: { source: { address: {} } } })),
)
const HOUR_MS = 3_600_000
const CHECK = '/envoy.service.auth.v3.Authorization/Check'
const ACCESS_LOG = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs'
const ANYWHERE = { host: '127.0.0.1', port: 0 }

const sockets: Socket[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})

/** A connection in which `text` was sent; it never closes its side by itself. */
async function opened(port: number, text: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  sockets.push(socket)
  socket.on('error', () => {})
  await once(socket, 'connect')
  if (text !== '') await new Promise((resolve) => socket.write(text, 'latin1', resolve))
  return socket
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'

describe('the gRPC server that drains', () => {
  it.each([
    ['has sent nothing', ''],
    ['has sent a part of the preface', PREFACE.slice(0, 10)],
    ['has sent nothing but the preface', PREFACE],
    ['has sent a part of the head of a request', `${PREFACE}\0\0\x20\x01\x04\0\0\0\x01abc`],
  ])('does not wait for a connection that %s', async (_what, text) => {
    const server = createGrpcServer(served(dependencies()))
    await opened(await server.listen(ANYWHERE), text)
    await server.drain(HOUR_MS)
  })

  it('does not wait for the message of a call, and tells its caller to go elsewhere', async () => {
    const given = dependencies()
    const server = createGrpcServer(served(given))
    const session = connectHttp2(`http://127.0.0.1:${await server.listen(ANYWHERE)}`)
    await once(session, 'connect')
    const stream = session.request({ ':method': 'POST', ':path': CHECK, 'content-type': 'application/grpc' })
    stream.on('error', () => {})
    stream.resume()
    const told = once(stream, 'response')
    stream.write(Buffer.from([0, 0, 0]))
    await new Promise((resolve) => session.ping(resolve))
    await server.drain(HOUR_MS)
    const [headers] = (await told) as [Record<string, unknown>]
    expect(headers['grpc-status']).toBe('14')
    expect(given.check.asked).toEqual([])
    session.destroy()
  })

  it('takes what an access log stream had sent, ends it well, and does not wait for the proxy to end it too', async () => {
    const given = dependencies()
    const server = createGrpcServer(served(given))
    const client = new Client(`127.0.0.1:${await server.listen(ANYWHERE)}`, credentials.createInsecure())
    const same = (bytes: Buffer) => bytes
    const ended = Promise.withResolvers<ServiceError | null>()
    const stream = client.makeClientStreamRequest<Buffer, Buffer>(ACCESS_LOG, same, same, (error) =>
      ended.resolve(error),
    )
    // tcp_logs with one empty entry.
    const message = Buffer.from([0x1a, 0x02, 0x0a, 0x00])
    stream.write(message)
    await given.report.have(1)
    await new Promise<void>((resolve) => stream.write(message, () => resolve()))
    await server.drain(HOUR_MS)
    expect(await ended.promise).toBeNull()
    expect(given.report.batches).toHaveLength(2)
    client.close()
  })

  it('waits for the calls that it is answering', async () => {
    const given = dependencies()
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<void>()
    given.check.decide = async () => {
      asked.resolve()
      await answer.promise
      return { answer: answerOf(), quotas: new Map() }
    }
    const clock = new FakeClock()
    const server = createGrpcServer(served({ ...given, clock }))
    const port = await server.listen(ANYWHERE)
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
    const same = (bytes: Buffer) => bytes
    const status = new Promise<ServiceError | null>((resolve) =>
      client.makeUnaryRequest(CHECK, same, same, CONNECTION, (error) => resolve(error)),
    )
    await asked.promise
    const drained = server.drain(HOUR_MS)
    await clock.advance(HOUR_MS / 2)
    answer.resolve()
    expect(await status).toBeNull()
    await drained
    client.close()
  })
})

const HEAD = 'POST /v1/check HTTP/1.1\r\nhost: a\r\ncontent-length: 18\r\n'

describe.each(HOSTS)('the HTTP server on %s that drains', (_, createHost) => {
  it.each([
    ['has sent nothing', ''],
    ['has sent a part of a head', HEAD],
    ['has sent a head and a part of a body', `${HEAD}\r\n{"attr`],
  ])('does not wait for a connection that %s', async (_what, text) => {
    const server = createHttpServer(dependencies(), createHost)
    await opened(await server.listen(ANYWHERE), text)
    await server.drain(HOUR_MS)
  })

  it('does not wait for a connection that is kept alive', async () => {
    const server = createHttpServer(dependencies(), createHost)
    const socket = await opened(await server.listen(ANYWHERE), `${HEAD}\r\n{"attributes": {}}`)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(answer.toString()).toContain('200 OK')
    await server.drain(HOUR_MS)
  })

  it('answers what it had begun with, and closes the connection then', async () => {
    const given = dependencies()
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<void>()
    given.check.decide = async () => {
      asked.resolve()
      await answer.promise
      return { answer: answerOf(), quotas: new Map() }
    }
    const clock = new FakeClock()
    const server = createHttpServer({ ...given, clock }, createHost)
    const port = await server.listen(ANYWHERE)
    const status = new Promise<number | undefined>((resolve, reject) => {
      const request = httpRequest({ port, method: 'POST', path: '/v1/check' }, (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode))
      })
      request.on('error', reject)
      request.end('{"attributes": {}}')
    })
    await asked.promise
    const drained = server.drain(HOUR_MS)
    await clock.advance(HOUR_MS / 2)
    answer.resolve()
    expect(await status).toBe(200)
    await drained
  })
})

describe('listeners for operators', () => {
  it.each(['', 'GET /metrics HTTP/1.1\r\n'])('do not wait for a connection that has sent %j', async (text) => {
    const log = createLogger({ format: 'json', level: 'error', terminal: false, write: () => {} })
    const meter = createMeter({ processMetrics: false })
    const given = { meter, health: new Health(), debug: new Map(), log, version: {} }
    const admins = ADMIN_HOSTS.map(([, createAdmin]) => createAdmin(given))
    const adapters = createAdapterListener(log)
    for (const listener of [...admins, adapters]) {
      const address = await listener.listen(ANYWHERE)
      await opened(Number(address.split(':')[1]), text)
      await listener.close()
    }
  })
})
