import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createCall, createTestEnvironment } from '../../src/adapter-kit/test-environment.ts'
import http from '../../src/adapters/http/index.ts'

type Answer = (response: ServerResponse, body: string, request: IncomingMessage) => void

const closers: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

async function backend(answer: Answer): Promise<string> {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString()
    })
    request.on('end', () => answer(response, body, request))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  closers.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => {
      server.close(resolve)
    })
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/check`
}

async function ask(answer: Answer, params: object = {}, signal?: AbortSignal) {
  const env = createTestEnvironment({ fetch })
  const handler = http.create(http.config.parse({ url: await backend(answer), ...params }), env)
  const instance = { name: 'entry.instance.prod', template: 'listentry', fields: { value: Uint8Array.of(10, 0, 0, 1) } }
  const result = await handler.check?.listentry?.(instance, createCall(env, 1_000, signal))
  if (result === undefined) throw new Error('no answer')
  return result
}

const reply =
  (status: number, headers: Record<string, string> = {}, body = ''): Answer =>
  (response) => {
    response.writeHead(status, headers).end(body)
  }

const json = (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  reply(status, { 'content-type': 'application/json', ...headers }, JSON.stringify(body))

describe('http', () => {
  it('sends the template, the instance and its fields, with the configured headers', async () => {
    const seen: unknown[] = []
    const answer: Answer = (response, body, request) => {
      seen.push(request.method, request.headers['authorization'], JSON.parse(body))
      response.end()
    }
    const result = await ask(answer, { headers: { authorization: 'Bearer t' } })
    const sent = { template: 'listentry', instance: 'entry.instance.prod', fields: { value: '10.0.0.1' } }
    expect(seen).toEqual(['POST', 'Bearer t', sent])
    expect(result).toEqual({ status: { code: 0, message: '' }, validForMs: 60_000, validUses: 10_000 })
  })

  it.each([
    [204, 0],
    [401, 16],
    [403, 7],
    [404, 5],
    [429, 8],
  ])('takes HTTP status %d for code %d', async (status, code) => {
    expect((await ask(reply(status))).status.code).toBe(code)
  })

  it.each([
    [500, 'BACKEND_FAILED'],
    [503, 'BACKEND_FAILED'],
    [302, 'BACKEND_REFUSED'],
    [400, 'BACKEND_REFUSED'],
  ])('has no verdict for HTTP status %d', async (status, code) => {
    await expect(ask(reply(status, { location: 'http://127.0.0.1:1/' }))).rejects.toMatchObject({ code })
  })

  it('maps statuses as configured', async () => {
    const params = { statusMapping: { 200: 'PERMISSION_DENIED', 503: 14, 403: 'OK' } }
    expect(await ask(reply(200, {}, 'no'), params)).toMatchObject({
      status: { code: 7 },
      directResponse: { code: 0, body: '' },
    })
    expect((await ask(reply(503), params)).status.code).toBe(14)
    expect((await ask(reply(403), params)).status.code).toBe(0)
  })

  it.each([
    ['max-age=5', {}, 5_000],
    ['public, s-maxage=7, max-age=5', {}, 7_000],
    ['max-age=60', { age: '50' }, 10_000],
    ['max-age=60', { age: '80' }, 0],
    ['no-store', {}, 0],
    ['max-age=60, no-cache', {}, 0],
    ['max-age=soon', {}, 0],
    ['public', {}, 60_000],
  ])('reads the validity from Cache-Control: %s %j', async (value, extra, ms) => {
    expect((await ask(reply(200, { 'cache-control': value, ...extra }))).validForMs).toBe(ms)
  })

  it('remembers "too many requests" for as long as Retry-After says, or a second', async () => {
    expect((await ask(reply(429))).validForMs).toBe(1_000)
    expect((await ask(reply(429, { 'retry-after': '3' }))).validForMs).toBe(3_000)
    expect((await ask(reply(429, { 'retry-after': '300' }))).validForMs).toBe(60_000)
  })

  it('lets a JSON answer deny and limit its validity', async () => {
    const body = { status: { code: 7, message: 'too poor' }, validForMs: 1_500.5, validUses: 3 }
    const expected = { status: { code: 7, message: 'too poor' }, validForMs: 1_500, validUses: 3 }
    expect(await ask(json(200, body))).toEqual(expected)
    expect((await ask(json(200, { validForMs: 9_000 }, { 'cache-control': 'no-store' }))).validForMs).toBe(0)
  })

  it('never lets a JSON answer allow what the HTTP status denies', async () => {
    expect((await ask(json(403, { status: { code: 0 } }))).status.code).toBe(7)
  })

  it.each([
    ['broken JSON', reply(200, { 'content-type': 'application/json' }, '{"status":')],
    ['a status that is no status', json(200, { status: 'denied' })],
    ['a negative validity', json(200, { validForMs: -1 })],
    ['a body beyond the limit', reply(200, {}, 'x'.repeat(70_000))],
    ['a connection that breaks', (response: ServerResponse) => void response.destroy()],
  ])('has no verdict for %s', async (_name, answer) => {
    await expect(ask(answer)).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
  })

  it('hands the body and chosen headers of a denial on, and only those', async () => {
    const headers = { 'content-type': 'text/plain', 'x-secret': 's', 'www-authenticate': 'Basic' }
    expect((await ask(reply(401, headers, 'who?'))).directResponse).toEqual({
      code: 401,
      body: 'who?',
      headers: { 'content-type': 'text/plain', 'www-authenticate': 'Basic' },
    })
    expect((await ask(reply(401, headers, 'who?'), { passDenial: false })).directResponse).toBeUndefined()
    expect((await ask(json(403, { status: 403, title: 'no' }))).directResponse?.body).toContain('title')
  })

  it('gives up its own request when the deadline of the call has passed', async () => {
    const env = createTestEnvironment({ fetch })
    const controller = new AbortController()
    const reached = Promise.withResolvers<IncomingMessage>()
    const url = await backend((_response, _body, request) => reached.resolve(request))
    const handler = http.create(http.config.parse({ url }), env)
    const call = createCall(env, 1_000, controller.signal)
    const asked = handler.check?.checknothing?.({ name: 'n', template: 'checknothing', fields: {} }, call)
    const outcome = expect(asked).rejects.toMatchObject({ code: 'CANCELLED' })
    const request = await reached.promise
    const closed = new Promise((resolve) => {
      request.socket.once('close', resolve)
    })
    controller.abort()
    await outcome
    await closed
  })

  it('gives up when the caller does', async () => {
    const controller = new AbortController()
    const asked = ask(() => controller.abort(), {}, controller.signal)
    await expect(asked).rejects.toMatchObject({ code: 'CANCELLED' })
  })

  it('refuses a URL with a password in it', () => {
    const params = http.config.parse({ url: 'http://user:secret@backend/' })
    expect(http.validate?.(params)[0]?.path).toEqual(['url'])
  })
})
