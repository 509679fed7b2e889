import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { inject } from '../helpers/inject.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { createHttpServer, type HttpServer } from '../../src/server/http.ts'
import { answerOf, dependencies } from './fixtures.ts'
import { HOSTS } from './hosts.ts'

const OWN = ['content-type', 'x-intermix-status', 'x-intermix-tier', 'x-intermix-age-ms', 'x-intermix-valid-for-ms']

describe.each(HOSTS)('POST /v1/check over a connection on %s', (_, createHost) => {
  let given: ReturnType<typeof dependencies>
  let server: HttpServer
  let port: number

  beforeEach(async () => {
    given = dependencies()
    server = createHttpServer(
      {
        ...given,
        maxBodyBytes: 4_000,
        limits: { maxMapEntries: 10, maxAttributeBytes: 1_000 },
      },
      createHost,
    )
    port = await server.listen({ host: '127.0.0.1', port: 0 })
  })
  afterEach(async () => {
    await server.drain(1_000)
  })

  type Headers = Readonly<Record<string, string | number>>

  /** Sends the parts of a body one after the other. */
  async function post(parts: readonly (string | Buffer)[], headers: Headers, path = '/v1/check') {
    const request = httpRequest({ port, method: 'POST', path, headers })
    const answered = once(request, 'response') as Promise<[IncomingMessage]>
    for (const part of parts) await new Promise((resolve) => request.write(part, resolve))
    request.end()
    const [response] = await answered
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk as Buffer)
    const own = Object.fromEntries(OWN.map((name) => [name, response.headers[name]]))
    return { status: response.statusCode, own, body: Buffer.concat(chunks).toString() }
  }

  const lengthOf = (body: string | Buffer) => ({ 'content-length': Buffer.byteLength(body) })

  it.each([
    ['a check', '{"attributes": {"request.path": "/zoë"}}'],
    ['a denied check', '{"attributes": {"request.path": "/denied"}}'],
    ['a check that waits', '{"attributes": {"request.path": "/later"}}'],
    ['a check that fails', '{"attributes": {"request.path": "/down"}}'],
    ['a check that meets a bug', '{"attributes": {"request.path": "/bug"}}'],
    ['what is no JSON', '{"attributes"'],
    ['what is no check', '{"attribute": {}}'],
    ['a name twice', '{"attributes": {}, "attributes": {}}'],
    ['what is not UTF-8', Buffer.from('{"attributes": {"request.path": "/\xe9"}}', 'latin1')],
    ['too many attributes', JSON.stringify({ attributes: { 'request.path': 'a'.repeat(1_200) } })],
    ['too long a body', JSON.stringify({ attributes: { 'request.path': 'a'.repeat(5_000) } })],
  ])('is answered as behind the router: %s', async (_, body) => {
    given.check.decide = (bag) => {
      const path = bag.get('request.path')
      if (path === '/down') throw new IntermixError('NOT_READY', 'no config yet')
      if (path === '/bug') return Promise.reject(new TypeError('a bug'))
      const status = path === '/denied' ? { code: 7, message: 'zoë' } : { code: 0, message: '' }
      const outcome = { answer: answerOf({ status, tier: 'mesh', ageMs: 3 }), quotas: new Map() }
      return path === '/later' ? Promise.resolve(outcome) : outcome
    }
    const direct = await post([body], lengthOf(body))
    const injected = await inject(server, { method: 'POST', url: '/v1/check', payload: body })
    expect(direct.body).toBe(injected.body)
    expect(direct.status).toBe(injected.statusCode)
    expect(direct.own).toEqual(
      Object.fromEntries(
        OWN.map((name) => [name, injected.headers[name] === undefined ? undefined : String(injected.headers[name])]),
      ),
    )
    const [first, second] = [...given.meter.counts].filter(([name]) =>
      name.startsWith('server_requests_total{http_check'),
    )
    if (direct.status !== 413) expect([first?.[1], second]).toEqual([2, undefined])
  })

  it('is taken in pieces, in chunks, with an expectation and under longer URLs', async () => {
    const body = '{"attributes": {"request.path": "/a"}}'
    const parts = [body.slice(0, 5), body.slice(5, 20), body.slice(20)]
    const ways = [
      await post(parts, lengthOf(body)),
      await post(parts, { 'transfer-encoding': 'chunked' }),
      await post(parts, { ...lengthOf(body), expect: '100-continue' }),
      await post(parts, lengthOf(body), '/v1/check?a=b'),
    ]
    for (const { status, body: text } of ways) expect([status, text]).toEqual([200, ways[0]?.body])
    expect(given.check.asked).toHaveLength(4)
  })

  it('is answered in order where a connection sends the next one before', async () => {
    const settle: (() => void)[] = []
    given.check.decide = (bag) => {
      const outcome = {
        answer: answerOf({ status: { code: 0, message: bag.get('request.path') as string } }),
        quotas: new Map(),
      }
      return bag.get('request.path') === '/1' ? new Promise((resolve) => settle.push(() => resolve(outcome))) : outcome
    }
    const text = (path: string) => {
      const body = `{"attributes": {"request.path": "${path}"}}`
      return `POST /v1/check HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    }
    const socket = connect(port, '127.0.0.1')
    let received = ''
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()))
    socket.write(text('/1') + text('/2'))
    await expect.poll(() => given.check.asked.length).toBe(2)
    settle[0]?.()
    await expect.poll(() => received.match(/"message":"\/\d"/g)).toEqual(['"message":"/1"', '"message":"/2"'])
    socket.destroy()
  })

  it('is nobody’s where the caller goes in the midst of its body', async () => {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write('POST /v1/check HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{"attributes"')
    await expect.poll(() => given.admission.view()).toMatchObject({ inFlight: 1 })
    socket.destroy()
    await expect.poll(() => given.admission.view()).toMatchObject({ inFlight: 0 })
    expect(given.check.asked).toEqual([])
    expect((await post(['{"attributes": {}}'], lengthOf('{"attributes": {}}'))).status).toBe(200)
  })
})
