// Whatever is asked of the HTTP server, it answers to the letter the same on each host of its routes.
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import { createHttpServer, type HttpServer } from '../../src/server/http.ts'
import { answerOf, dependencies } from './fixtures.ts'
import { HOSTS } from './hosts.ts'

const DENIAL_HEADERS = [
  ['set-cookie', 'a=1'],
  ['set-cookie', 'b=2'],
  ['www-authenticate', 'Basic'],
  ['content-type', 'application/json'],
] as const

describe('hosts of the HTTP server', () => {
  const ports: number[] = []
  const servers: HttpServer[] = []

  beforeAll(async () => {
    for (const [, createHost] of HOSTS) {
      const given = dependencies()
      given.check.decide = (bag) => {
        const path = bag.get('request.path') as string
        if (path === '/down') throw new IntermixError('NOT_READY', 'no config yet')
        if (path === '/bug') throw new TypeError('a bug')
        const code = Number(/^\/denied\/(\d+)/.exec(path)?.[1] ?? 0)
        const responseHeaders = DENIAL_HEADERS.map(([name, value]) => ({ name, value, operation: 'APPEND' as const }))
        if (code === 0) return { answer: answerOf({ responseHeaders }), quotas: new Map() }
        const body = path.endsWith('/empty') ? '' : 'nö'
        const status = { code: 7, message: '' }
        const directResponse = { code, body, headers: {} }
        return { answer: answerOf({ status, directResponse, responseHeaders }), quotas: new Map() }
      }
      const server = createHttpServer({ ...given, maxBodyBytes: 200 }, createHost)
      servers.push(server)
      ports.push(await server.listen({ host: '127.0.0.1', port: 0 }))
    }
  })
  afterAll(() => Promise.all(servers.map((server) => server.drain(1_000))))

  /** Speaks HTTP by hand, so that nothing tidies requests and answers up. */
  async function ask(port: number, head: string, body: string): Promise<string> {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    const [line, ...lines] = head.split('\n')
    socket.write([`${line} HTTP/1.1`, 'host: node.test', 'connection: close', ...lines, '', body].join('\r\n'))
    let text = ''
    socket.setEncoding('latin1').on('data', (part: string) => (text += part))
    await once(socket, 'close')
    const [status, ...headers] = (text.split('\r\n\r\n')[0] ?? '').toLowerCase().split('\r\n')
    const told = headers.filter((header) => !header.startsWith('date:')).sort()
    return [status, ...told, text.split('\r\n\r\n').slice(1).join('\r\n\r\n')].join('\n')
  }

  const CHECK = '{"attributes": {"request.path": "/a"}}'
  const withLength = (body: string) => `content-length: ${body.length}`
  const LONG = ' '.repeat(300)

  it.each<[head: string, body: string | undefined, status: number]>([
    ['GET /', undefined, 404],
    ['POST /v1/revocations', undefined, 404],
    ['GET /v1/check?a', undefined, 405],
    ['PURGE /v1/quota', undefined, 405],
    ['HEAD /v1/report', undefined, 405],
    ['OPTIONS *', undefined, 404],
    ['GET /v1/%zz', undefined, 400],
    ['GET /v1/authz/%zz?%zz', undefined, 200],
    [`POST /v1/check\n${withLength(CHECK)}`, CHECK, 200],
    [`POST /v1/check?a=b\n${withLength(CHECK)}`, CHECK, 200],
    [`POST /v1%2Fcheck\n${withLength(CHECK)}`, CHECK, 200],
    [`POST http://node.test/v1/check\n${withLength(CHECK)}`, CHECK, 200],
    [`POST /v1/check/\n${withLength(CHECK)}`, CHECK, 404],
    [`POST /V1/check\n${withLength(CHECK)}`, CHECK, 404],
    [`POST /v1/check\ncontent-type: none\n${withLength(CHECK)}`, CHECK, 200],
    [`POST /v1/check?\ncontent-type: none\n${withLength(CHECK)}`, CHECK, 200],
    ['POST /v1/check', undefined, 400],
    ['POST /v1/check?a', undefined, 400],
    ['POST /v1/report', undefined, 400],
    ['POST /v1/quota', undefined, 400],
    [`POST /v1/report\n${withLength('{')}`, '{', 400],
    [`POST /v1/quota\ncontent-type: text/html\n${withLength('{}')}`, '{}', 400],
    [`POST /v1/report\n${withLength('{"records": []}')}`, '{"records": []}', 202],
    [`POST /v1/check\n${withLength(LONG)}`, LONG, 413],
    [`POST /v1/report\n${withLength(LONG)}`, LONG, 413],
    ['POST /v1/report\ntransfer-encoding: chunked', `12c\r\n${LONG}\r\n0\r\n\r\n`, 413],
    [`POST /v1/authz/a\ncontent-type: none\n${withLength(LONG)}`, LONG, 200],
    ['QUERY /v1/authz/a', undefined, 200],
    ['HEAD /v1/authz/denied/401', undefined, 401],
    ['GET /v1/authz/denied/401', undefined, 401],
    ['GET /v1/authz/denied/401/empty', undefined, 401],
    ['GET /v1/authz/denied/304/empty', undefined, 304],
    ['GET /v1/authz/denied/304', undefined, 304],
    ['GET /v1/authz/down', undefined, 503],
    ['GET /v1/authz/bug', undefined, 503],
    ['GET /v1/%61uthz', undefined, 400],
    ['GET /v1/%61uthz/a', undefined, 404],
    ['GET /v1/authz', undefined, 400],
    ['GET /v1/authzz', undefined, 404],
  ])('answer the same to %j', async (head, body = '', status) => {
    const [first = '', ...others] = await Promise.all(ports.map((port) => ask(port, head, body)))
    expect(first).toMatch(new RegExp(`^http/1.1 ${status} `))
    for (const other of others) expect(other).toBe(first)
  })
})
