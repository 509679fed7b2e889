// The middlewares of servers: each tells policy what a request is, and does what policy says.

import { once } from 'node:events'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import createExpress from 'express'
import createFastify from 'fastify'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { intermix as forExpress } from '../../../src/client/library/express.ts'
import { intermix as forFastify } from '../../../src/client/library/fastify.ts'
import type { GuardOptions } from '../../../src/client/library/guard.ts'
import { currentTrace } from '../../../src/client/library/trace-context.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import { Duration } from '../../../src/kernel/time.ts'
import { isStringMap } from '../../../src/kernel/value.ts'
import type { HeaderOperation } from '../../../src/kernel/header-operation.ts'
import { answerOf } from '../../server/fixtures.ts'
import { testClient } from './support.ts'

type Given = ReturnType<typeof testClient>
type Options = Omit<GuardOptions<unknown>, 'client'>

/** What a server of each kind has to do: `/echo` says what it was asked, in JSON. */
interface Served {
  readonly port: number
  stop(): Promise<unknown>
}

interface Heard {
  readonly headers: Record<string, string>
  readonly raw: string[]
  readonly trace: string | undefined
  readonly body: string
}

async function fastifyServer({ client }: Given, options: Options): Promise<Served> {
  const app = createFastify({ trustProxy: '127.0.0.1' })
  await app.register(forFastify, { client, ...options })
  app.all('/echo', async (request, reply) => {
    reply.header('x-own', 'own').header('x-old', 'old')
    await new Promise(setImmediate)
    const { headers, rawHeaders: raw } = request.raw
    return { headers, raw, trace: currentTrace()?.traceparent, body: JSON.stringify(request.body ?? null) }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { port: (app.server.address() as AddressInfo).port, stop: () => app.close() }
}

async function expressServer({ client }: Given, options: Options): Promise<Served> {
  const app = createExpress()
  app.set('trust proxy', '127.0.0.1')
  app.use(forExpress({ client, ...options }))
  // oxlint-disable-next-line no-async-endpoint-handlers -- this is express 5
  app.use('/echo', async (request, response) => {
    response.setHeader('x-own', 'own')
    const body = await text(request)
    const { headers, rawHeaders: raw } = request
    response.writeHead(200, { 'x-old': 'old', 'content-type': 'application/json' })
    response.end(JSON.stringify({ headers, raw, trace: currentTrace()?.traceparent, body }))
  })
  const server = app.listen(0, '127.0.0.1', () => undefined)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      server.close()
      await once(server, 'close')
    },
  }
}

const replace = (name: string, value: string): HeaderOperation => ({ name, value, operation: 'REPLACE' })
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

describe.each([
  ['fastify', fastifyServer],
  ['express', expressServer],
])('the middleware of %s', (_, serve) => {
  let given: Given
  let server: Served | undefined

  beforeEach(() => {
    given = testClient()
  })
  afterEach(async () => {
    await server?.stop()
    server = undefined
  })

  async function start(options: Options = {}): Promise<void> {
    server = await serve(given, options)
  }

  /** One request, to the letter. */
  async function call(path: string, headers: Record<string, string | string[]> = {}, body?: string) {
    const method = body === undefined ? 'GET' : 'POST'
    const sent = httpRequest({ host: '127.0.0.1', port: server?.port, path, method, headers, agent: false })
    sent.end(body)
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    const said = await text(response)
    return {
      status: response.statusCode,
      headers: response.headers,
      text: said,
      heard: () => JSON.parse(said) as Heard,
    }
  }

  it('tells policy what came, as it came', async () => {
    await start({ attributes: { 'destination.service.name': 'books' } })
    await call('/echo/%2e%2e/x?a=%41', {
      host: 'books.example:8080',
      'X-Forwarded-For': '203.0.113.9',
      'x-forwarded-proto': 'https',
      'x-istio-attributes': 'forged',
      'X-Twice': ['1', '2'],
      'x-utf8': Buffer.from('ü').toString('latin1'),
    })
    const bag = given.check.lastBag
    const told = (name: string) => bag.get(name)
    expect(told('request.path')).toBe('/echo/%2e%2e/x?a=%41')
    expect(told('request.url_path')).toBe('/echo/%2e%2e/x')
    expect(told('request.method')).toBe('GET')
    expect(told('request.host')).toBe('books.example:8080')
    expect(told('request.scheme')).toBe('https')
    expect(told('source.ip')).toEqual(Uint8Array.of(203, 0, 113, 9))
    expect(told('destination.service.name')).toBe('books')
    expect(told('context.reporter.kind')).toBe('inbound')
    const headers = told('request.headers')
    if (headers === undefined || !isStringMap(headers)) throw new Error('no headers')
    expect(Object.fromEntries(headers.entries())).toMatchObject({
      ':path': '/echo/%2e%2e/x?a=%41',
      ':authority': 'books.example:8080',
      'x-twice': '1,2',
      'x-utf8': 'ü',
    })
    expect(headers.get('x-istio-attributes')).toBeUndefined()
  })

  it('does to the headers of the request and of the response what policy says', async () => {
    given.check.answer({
      requestHeaders: [
        replace('x-user', 'amy'),
        { name: 'x-secret', value: '', operation: 'REMOVE' },
        { name: 'x-list', value: 'b', operation: 'APPEND' },
        replace('content-length', '0'),
        { name: 'host', value: '', operation: 'REMOVE' },
      ],
      responseHeaders: [
        replace('x-new', 'new\r\nx-forged: 1'),
        { name: 'x-old', value: '', operation: 'REMOVE' },
        { name: 'x-own', value: 'too', operation: 'APPEND' },
      ],
    })
    await start()
    const answer = await call('/echo', { 'X-Secret': 's', 'x-list': 'a', 'x-user': 'eve', host: 'h' })
    const { headers, raw } = answer.heard()
    expect(headers).toMatchObject({ 'x-user': 'amy', 'x-list': 'a, b', host: 'h' })
    expect(headers['x-secret'] ?? headers['content-length']).toBeUndefined()
    expect(raw.join()).not.toMatch(/eve|X-Secret/)
    expect(raw.join()).toMatch(/x-user,amy/)
    expect(answer.headers).toMatchObject({ 'x-new': 'new x-forged: 1', 'x-own': 'own, too' })
    expect(answer.headers['x-old'] ?? answer.headers['x-forged']).toBeUndefined()
  })

  it('denies with what policy wants the caller to get, and asks for no body', async () => {
    await start()
    const headers = { 'X-Reason': 'closed', 'content-length': '999' }
    given.check.answer({ status: { code: 7, message: 'no' }, directResponse: { code: 418, body: 'teapot', headers } })
    const denied = await call('/echo', { 'content-type': 'application/json' }, '{"a":1')
    expect(denied).toMatchObject({ status: 418, text: 'teapot' })
    expect(denied.headers).toMatchObject({ 'x-reason': 'closed', 'content-type': 'text/plain; charset=utf-8' })
    given.check.decide = async () => ({
      answer: answerOf({ status: { code: 16, message: 'who?' } }),
      quotas: new Map(),
    })
    expect(await call('/echo')).toMatchObject({ status: 401, text: 'who?' })
    // Two hosts, before any policy is asked.
    expect(await call('/echo', { 'user-agent': ['a', 'b'] })).toMatchObject({ status: 400 })
  })

  it('denies where nobody can say, or lets pass if it is told', async () => {
    const fail = async () => {
      throw new IntermixError('NOT_READY', 'no node is known')
    }
    given.check.decide = fail
    await start()
    expect(await call('/echo')).toMatchObject({ status: 503, text: 'no node is known' })
    await server?.stop()
    await start({ onFailure: 'allow' })
    expect(await call('/echo')).toMatchObject({ status: 200 })
    given.check.decide = () => {
      throw new Error('secret detail')
    }
    expect(await call('/echo')).toMatchObject({ status: 500, text: 'the call could not be checked' })
    await server?.stop()
    // What is wrong with the program lets nobody pass.
    await start({ onFailure: 'allow', attributes: { 'destination.port': 'http' } })
    expect(await call('/echo')).toMatchObject({ status: 400 })
    expect(given.warnings).toContain('a call could not be checked')
  })

  it('ends a call whose quota is exhausted', async () => {
    const status = { code: 8, message: 'used up' }
    const grant = { granted: 0, status, validForMs: 1_500, referenced: [] }
    given.check.decide = () => ({ answer: answerOf(), quotas: new Map([['q', grant]]) })
    await start({ quotas: { q: 1 } })
    const denied = await call('/echo')
    expect(denied).toMatchObject({ status: 429, headers: { 'retry-after': '2' } })
  })

  it('reports calls when they were answered, those that were denied as well', async () => {
    await start({ attributes: { 'destination.service.name': 'books' } })
    await call('/echo', { 'content-type': 'application/json' }, '{"a":1}')
    await expect.poll(() => given.records.length).toBe(1)
    const [record] = given.records
    expect(record?.get('response.code')).toBe(200n)
    expect(record?.get('request.size')).toBe(7n)
    expect(record?.get('destination.service.name')).toBe('books')
    expect(record?.get('request.path')).toBe('/echo')
    expect(record?.get('response.duration')).toBeInstanceOf(Duration)
    given.check.answer({ status: { code: 7, message: 'no' } })
    await call('/echo')
    await expect.poll(() => given.records.length).toBe(2)
    expect(given.records[1]?.get('response.code')).toBe(403n)
    expect(given.records[1]?.get('check.error_code')).toBe(7n)
  })

  it('passes over what it is told to, and reports nothing if it is told so', async () => {
    await start({ skip: (request) => (request as { url: string }).url === '/echo?health', report: false })
    await call('/echo?health')
    expect(given.check.asked).toHaveLength(0)
    await call('/echo')
    await call('/echo')
    expect(given.check.asked).toHaveLength(2)
    expect(given.records).toHaveLength(0)
  })

  it('gives what runs for a request the trace that came with it, and no other', async () => {
    given.check.decide = async () => ({ answer: answerOf(), quotas: new Map() })
    await start()
    const body = JSON.stringify({ long: 'x'.repeat(100_000) })
    const json = { 'content-type': 'application/json' }
    expect((await call('/echo', { ...json, traceparent: TRACE }, body)).heard()).toMatchObject({ trace: TRACE })
    expect((await call('/echo', json, body)).heard().trace).toBeUndefined()
    expect((await call('/echo', { traceparent: 'nonsense' })).heard().trace).toBeUndefined()
  })
})
