// Overload at the doors: what is refused, before anything is decoded, and who is answered all the same.
import { request as httpRequest } from 'node:http'
import { create, toBinary } from '@bufbuild/protobuf'
import { Client, credentials, type ServiceError, status as grpcStatus } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Ended } from '../../load/kit/connection.ts'
import { connectGrpc } from '../../load/kit/grpc-connection.ts'
import { requestTemplate } from '../../load/kit/request-template.ts'
import { createLoopMonitor, type LoopMonitor } from '../../src/observe/loop-lag.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { Admission } from '../../src/server/admission.ts'
import type { GrpcServer } from '../../src/server/grpc-server.ts'
import { fastifyHost } from '../../src/server/fastify-host.ts'
import { createHttpServer, type HttpServer } from '../../src/server/http.ts'
import {
  HealthCheckRequestSchema,
  type HealthCheckResponse,
} from '../../src/wire/generated/grpc/health/v1/health_pb.ts'
import { CheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { fill, handAdmission, LineLog, overload } from './admission-support.ts'
import { answerOf, dependencies, served } from './fixtures.ts'
import { healthCheck } from './grpc-method.ts'
import { createGrpcServer } from './transport.ts'

const CHECK = '/envoy.service.auth.v3.Authorization/Check'
const MIXER_CHECK = '/istio.mixer.v1.Mixer/Check'
const MIXER_REPORT = '/istio.mixer.v1.Mixer/Report'
/** A check about a connection: the least that there is. */
const CONNECTION = Buffer.from(
  toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes: { source: { address: {} } } })),
)
/** No message at all: whoever decodes it fails. */
const BROKEN = Buffer.from([0x0a, 0x7f])

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** A client that asks the same again and again. */
function connect(given: {
  port: number
  timeoutMs: number
  message: Buffer
  ended: (call: number, how: Ended) => void
}) {
  const { port, timeoutMs, message, ended } = given
  return connectGrpc({
    address: { host: '127.0.0.1', port },
    path: CHECK,
    timeoutMs,
    request: requestTemplate(() => message),
    events: { ended, lost: () => {}, read: () => {} },
  })
}

function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

/** Both servers, with an admission in the place of the fixtures'. */
async function serve(admission: Admission) {
  const given = { ...dependencies(), admission }
  const grpc: GrpcServer = createGrpcServer(served(given))
  const http: HttpServer = createHttpServer({ ...given }, fastifyHost)
  const grpcPort = await grpc.listen({ host: '127.0.0.1', port: 0 })
  const httpPort = await http.listen({ host: '127.0.0.1', port: 0 })
  const client = new Client(`127.0.0.1:${grpcPort}`, credentials.createInsecure())
  ends.push(
    () => grpc.drain(1_000),
    () => http.drain(1_000),
    () => client.close(),
  )
  const call = (path: string, bytes: Buffer) =>
    new Promise<number>((resolve) => {
      const same = (message: Buffer) => message
      client.makeUnaryRequest(path, same, same, bytes, (error: ServiceError | null) => resolve(error?.code ?? 0))
    })
  const post = (path: string, body: string) =>
    new Promise<{ status: number; retryAfter: string | undefined; body: string }>((resolve, reject) => {
      const request = httpRequest({ port: httpPort, method: 'POST', path, agent: false }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => {
          const { statusCode: status = 0, headers } = response
          resolve({ status, retryAfter: headers['retry-after'], body: text })
        })
      })
      request.on('error', reject)
      request.end(body)
    })
  return { given, client, call, post, grpcPort, httpPort }
}

function healthOf(client: Client): Promise<number> {
  const { path, requestSerialize, responseDeserialize } = healthCheck
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      create(HealthCheckRequestSchema, { service: '' }),
      (error: ServiceError | null, response?: HealthCheckResponse) =>
        response === undefined ? reject(error ?? new Error('no response')) : resolve(response.status),
    )
  })
}

describe('while a queue is standing', () => {
  it('reports are refused, checks within the budget answered, health always', async () => {
    const setting = handAdmission()
    const { given, call, post, client } = await serve(setting.admission)
    overload(setting)
    expect(await call(MIXER_REPORT, BROKEN)).toBe(grpcStatus.RESOURCE_EXHAUSTED)
    const report = await post('/v1/report', '{"records": [{"response.code": 200}]}')
    expect([report.status, report.retryAfter]).toEqual([503, '1'])
    expect(given.report.batches).toEqual([])
    expect(await call(CHECK, CONNECTION)).toBe(0)
    expect(given.check.asked).toHaveLength(1)
    expect(await healthOf(client)).toBe(1)
  })

  it('checks beyond the budget of the turn are refused before they are decoded, at every door', async () => {
    const setting = handAdmission()
    const { given, call, post, client } = await serve(setting.admission)
    overload(setting)
    // Takes all that a turn may, also for a door with few connections.
    fill(setting.admission, 1_000, 1)
    expect(await call(CHECK, BROKEN)).toBe(grpcStatus.UNAVAILABLE)
    expect(await call(MIXER_CHECK, BROKEN)).toBe(grpcStatus.UNAVAILABLE)
    const check = await post('/v1/check', '{')
    expect([check.status, check.retryAfter, JSON.parse(check.body)]).toMatchObject([
      503,
      '1',
      { error: { code: 'OVERLOADED' } },
    ])
    expect((await post('/v1/authz/x', '')).status).toBe(503)
    expect(given.check.asked).toEqual([])
    expect(await healthOf(client)).toBe(1)
    const text = await setting.meter.render()
    for (const door of ['ext_authz', 'mixer_check', 'http_check', 'forward_auth'])
      expect(text).toContain(`intermix_shed_total{door="${door}",reason="overload"} 1`)
  })

  it('what is no door is served: a client hears that a path is not there', async () => {
    const setting = handAdmission()
    const { post } = await serve(setting.admission)
    overload(setting)
    fill(setting.admission, 1_000, 1)
    expect((await post('/v1/nothing', '')).status).toBe(404)
  })
})

describe('calls in flight', () => {
  it('are bounded over all doors; the newest is refused, and the first that ends makes room', async () => {
    const { admission } = handAdmission({ maxInFlight: 2 })
    const { given, call, post, client } = await serve(admission)
    const answers: (() => void)[] = []
    const asked = Promise.withResolvers<void>()
    given.check.decide = () =>
      new Promise((resolve) => {
        answers.push(() => resolve({ answer: answerOf(), quotas: new Map() }))
        if (answers.length === 2) asked.resolve()
      })
    const first = call(CHECK, CONNECTION)
    const second = post('/v1/check', '{"attributes": {}}')
    await asked.promise
    expect(await call(CHECK, CONNECTION)).toBe(grpcStatus.UNAVAILABLE)
    expect((await post('/v1/check', '{"attributes": {}}')).status).toBe(503)
    expect(await healthOf(client)).toBe(1)
    for (const answer of answers) answer()
    expect(await first).toBe(0)
    expect((await second).status).toBe(200)
    await expect.poll(() => admission.view()).toMatchObject({ inFlight: 0 })
    given.check.answer({})
    expect(await call(CHECK, CONNECTION)).toBe(0)
  })

  it('end with their callers, answered or not', async () => {
    const { admission } = handAdmission({ maxInFlight: 10 })
    const { given, grpcPort, httpPort } = await serve(admission)
    const asked = Promise.withResolvers<void>()
    given.check.decide = () => {
      if (given.check.asked.length === 2) asked.resolve()
      return new Promise(() => {})
    }
    const frames = connect({ port: grpcPort, timeoutMs: 60_000, message: CONNECTION, ended: () => {} })
    frames.send(0, 0)
    frames.flush()
    const request = httpRequest({ port: httpPort, method: 'POST', path: '/v1/check', agent: false })
    request.on('error', () => {})
    request.end('{"attributes": {}}')
    await asked.promise
    expect(admission.view()).toMatchObject({ inFlight: 2 })
    frames.cancel(0)
    frames.flush()
    request.destroy()
    await expect.poll(() => admission.view()).toMatchObject({ inFlight: 0 })
    frames.close()
  })
})

describe('after the loop stood still', () => {
  let monitor: LoopMonitor
  let admission: Admission
  beforeEach(() => {
    const { clock } = dependencies()
    const meter = createMeter({ processMetrics: false })
    monitor = createLoopMonitor({ clock, meter })
    admission = new Admission({ clock, meter, log: new LineLog(), loopLag: monitor, maxInFlight: 1_000 })
  })
  afterEach(() => monitor.stop())

  it('calls whose time was up before they were read are dropped before they are decoded, others are answered', async () => {
    const { given, grpcPort } = await serve(admission)
    const told = new Map<string, Ended>()
    const open = (timeoutMs: number, message: Buffer) => {
      const ended = (call: number, how: Ended) => void told.set(`${timeoutMs}/${call}`, how)
      const connection = connect({ port: grpcPort, timeoutMs, message, ended })
      ends.push(() => connection.close())
      return connection
    }
    const impatient = open(100, BROKEN)
    const patient = open(60_000, CONNECTION)
    for (const connection of [impatient, patient]) {
      connection.send(0, 0)
      connection.flush()
    }
    // Both connections are up and warm when these have ended.
    await expect.poll(() => told.size).toBe(2)
    given.check.asked.length = 0
    for (const connection of [impatient, patient]) {
      connection.send(1, 0)
      connection.send(2, 0)
      connection.flush()
    }
    // They are in the server's sockets now, and stay there for longer than the callers of the first wait.
    block(300)
    await expect.poll(() => told.size).toBe(6)
    expect(Object.fromEntries([...told].filter(([key]) => !key.endsWith('/0')))).toEqual({
      '100/1': 'expired',
      '100/2': 'expired',
      '60000/1': 'allow',
      '60000/2': 'allow',
    })
    expect(given.check.asked).toHaveLength(2)
  })

  it('the wait counts against the deadline of what is still answered', async () => {
    const { given, grpcPort } = await serve(admission)
    let ended = 0
    const connection = connect({ port: grpcPort, timeoutMs: 10_000, message: CONNECTION, ended: () => void ended++ })
    ends.push(() => connection.close())
    connection.send(0, 0)
    connection.flush()
    await expect.poll(() => ended).toBe(1)
    connection.send(1, 0)
    connection.flush()
    block(1_000)
    await expect.poll(() => ended).toBe(2)
    expect(given.check.asked[1]?.options.timeoutMs).toBeLessThan(9_100)
  })
})
