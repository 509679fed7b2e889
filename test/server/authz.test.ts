import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import { parseIp } from '../../src/kernel/ip-address.ts'
import { Code } from '../../src/kernel/status.ts'
import type { StringMap } from '../../src/kernel/value.ts'
import { createHttpServer, type HttpServer } from '../../src/server/http.ts'
import { dependencies, type RecordingCheck } from './fixtures.ts'
import { HOSTS } from './hosts.ts'

describe.each(HOSTS)('forward-auth on %s', (_, createHost) => {
  let given: ReturnType<typeof dependencies>
  let check: RecordingCheck
  let server: HttpServer
  let port: number

  beforeEach(async () => {
    given = dependencies()
    check = given.check
    server = createHttpServer(given, createHost)
    port = await server.listen({ host: '127.0.0.1', port: 0 })
  })
  afterEach(() => server.drain(1_000))

  /** Speaks HTTP by hand, so that nothing tidies the path up. */
  async function raw(
    line: string,
    headers: Record<string, string> = {},
    body = '',
  ): Promise<{ status: number; head: string; body: string }> {
    const socket = connect(port, '127.0.0.1')
    const lines = Object.entries({ host: 'asked.test', connection: 'close', ...headers }).map(
      ([name, value]) => `${name}: ${value}`,
    )
    if (body !== '') lines.push(`content-length: ${Buffer.byteLength(body)}`)
    socket.write(`${line} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`)
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    await once(socket, 'close')
    const [head = '', ...rest] = text.split('\r\n\r\n')
    return { status: Number(head.split(' ')[1]), head: head.toLowerCase(), body: rest.join('\r\n\r\n') }
  }

  const attribute = (name: string) => check.lastBag.get(name)

  it.each(['/a%2Fb//c?x=%31', '/%zz', `/${'long/'.repeat(400)}`, '/a/../b;c', '/'])(
    'reads the original path after the prefix, untouched: %s',
    async (path) => {
      expect((await raw(`DELETE /v1/authz${path}`)).status).toBe(200)
      expect(attribute('request.path')).toBe(path)
      expect(attribute('request.method')).toBe('DELETE')
      expect(attribute('request.host')).toBe('asked.test')
    },
  )

  it.each(['PROPFIND', 'PURGE', 'HEAD', 'OPTIONS', 'TRACE', 'POST'])('takes the method %s', async (method) => {
    expect((await raw(`${method} /v1/authz/x`)).status).toBe(200)
    expect(attribute('request.method')).toBe(method)
  })

  it.each(['PROPFIND', 'GET', 'DELETE', 'POST'])('passes over the body of a %s, whatever it is', async (method) => {
    const response = await raw(`${method} /v1/authz/x`, { 'content-type': 'application/json' }, '{not json')
    expect(response.status).toBe(200)
  })

  it.each(['QUERY', 'PUT'])('minds neither a content type that is none nor that a %s has none', async (method) => {
    for (const headers of [{}, { 'content-type': 'none' }] as Record<string, string>[])
      expect((await raw(`${method} /v1/authz/x`, headers, 'a')).status).toBe(200)
  })

  it('reads what a trusted proxy forwards, and hides what a client may not say', async () => {
    await raw('GET /v1/authz', {
      'x-forwarded-method': 'post',
      'x-forwarded-uri': '/orders?id=1%202',
      'x-forwarded-host': 'shop.test',
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '6.6.6.6, 203.0.113.9',
      'x-istio-attributes': 'forged',
      'x-request-id': 'r-1',
      'source.principal': 'admin',
      'user-agent': 'curl',
    })
    expect(attribute('request.method')).toBe('POST')
    expect(attribute('request.url_path')).toBe('/orders')
    expect((attribute('request.query_params') as StringMap).get('id')).toBe('1 2')
    expect(attribute('request.host')).toBe('shop.test')
    expect(attribute('request.scheme')).toBe('https')
    expect(attribute('source.ip')).toEqual(parseIp('203.0.113.9'))
    expect(attribute('request.id')).toBe('r-1')
    expect(attribute('request.useragent')).toBe('curl')
    expect(attribute('source.principal')).toBeUndefined()
    const headers = attribute('request.headers') as StringMap
    expect(headers.get('x-istio-attributes')).toBeUndefined()
    expect(headers.get('user-agent')).toBe('curl')
    expect([...headers.entries()].map(([name]) => name)).not.toContain('x-forwarded-uri')
  })

  it('believes no X-Forwarded header of a caller that is not trusted', async () => {
    await server.drain(1_000)
    server = createHttpServer({ ...given, trustForwarded: ['192.0.2.0/24'] }, createHost)
    port = await server.listen({ host: '127.0.0.1', port: 0 })
    await raw('GET /v1/authz/real?attr.source.principal=admin', {
      'x-forwarded-method': 'POST',
      'x-forwarded-uri': '/forged',
      'x-forwarded-host': 'forged.test',
      'x-forwarded-for': '10.9.9.9',
    })
    expect(attribute('request.path')).toBe('/real?attr.source.principal=admin')
    expect(attribute('request.method')).toBe('GET')
    expect(attribute('request.host')).toBe('asked.test')
    expect(attribute('source.ip')).toEqual(parseIp('127.0.0.1'))
    expect(attribute('source.principal')).toBeUndefined()
  })

  describe('attributes in the query', () => {
    it('are the operator’s where the URL is', async () => {
      await raw('GET /v1/authz?attr.destination.service.name=reviews&attr.destination.port=80&other=1', {
        'x-forwarded-uri': '/a',
      })
      expect(attribute('destination.service.name')).toBe('reviews')
      expect(attribute('destination.port')).toBe(80n)
      expect(attribute('other')).toBeUndefined()
    })

    it('are refused where there is no such attribute, with the one that was meant', async () => {
      const response = await raw('GET /v1/authz?attr.destination.prot=80', { 'x-forwarded-uri': '/a' })
      expect(response.status).toBe(400)
      expect(response.body).toContain(
        'attr.destination.prot: no attribute manifest has this attribute. Did you mean "dest',
      )
      expect(check.asked).toEqual([])
    })

    it('are refused where the URL gives two values', async () => {
      const url = 'GET /v1/authz?attr.source.principal=a&attr.source%2Eprincipal='
      const twice = await raw(`${url}b`, { 'x-forwarded-uri': '/a' })
      expect([twice.status, twice.body]).toEqual([400, expect.stringContaining('attr.source.principal two values')])
      expect(check.asked).toEqual([])
      expect((await raw(`${url}a`, { 'x-forwarded-uri': '/a' })).status).toBe(200)
    })

    it.each(['attr.source.principal=%ff', 'attr.source.principal=%ED%A0%80', 'attr.source.principal=100%'])(
      'are refused where they are not percent-encoded UTF-8: %s',
      async (query) => {
        expect((await raw(`GET /v1/authz?${query}`, { 'x-forwarded-uri': '/a' })).status).toBe(400)
      },
    )

    it('are the client’s, and nothing but its path, where the path follows the prefix', async () => {
      await raw('GET /v1/authz/a?attr.source.principal=admin')
      expect(attribute('source.principal')).toBeUndefined()
      await raw('GET /v1/authz/?attr.source.principal=admin')
      expect(attribute('source.principal')).toBeUndefined()
    })

    it.each(['attr.source.principal=admin', 'attr%2Esource%2Eprincipal=x', 'a=b&attr.source.principal'])(
      'refuse a call whose client claims one, since proxies append its query: %s',
      async (query) => {
        const response = await raw(`GET /v1/authz?${query}`, { 'x-forwarded-uri': `/a?${query}` })
        expect(response.status).toBe(400)
        expect((await raw(`GET /v1/authz?deny=403&${query}`, { 'x-forwarded-uri': `/a?${query}` })).status).toBe(403)
        expect(check.asked).toEqual([])
      },
    )

    it('fail as the node’s failure where a value is of the wrong type', async () => {
      const response = await raw('GET /v1/authz?attr.destination.port=http', { 'x-forwarded-uri': '/a' })
      expect([response.status, response.body]).toEqual([503, expect.stringContaining('destination.port') as string])
    })
  })

  it('allows with 200 exactly and the headers for the proxy to copy', async () => {
    check.answer({
      tier: 'stale',
      ageMs: 9,
      validForMs: 0,
      requestHeaders: [
        { name: 'x-user', value: 'zoë\r\nset-cookie: a', operation: 'REPLACE' },
        { name: 'x-tag', value: '1', operation: 'APPEND' },
        { name: 'x-tag', value: '2', operation: 'APPEND' },
        { name: 'cookie', value: '', operation: 'REMOVE' },
        { name: ':path', value: '/x', operation: 'REPLACE' },
        { name: 'content-length', value: '5', operation: 'REPLACE' },
      ],
    })
    const { status, head } = await raw('GET /v1/authz/a')
    expect(status).toBe(200)
    expect(head).toContain('x-user: zoë set-cookie: a')
    expect(head).not.toContain('\r\nset-cookie')
    expect(head).toContain('x-tag: 1, 2')
    expect(head).toContain('x-envoy-auth-headers-to-remove: cookie')
    expect(head).toContain('x-intermix-tier: stale')
    expect(head).toContain('x-intermix-age-ms: 9')
    expect(head).toContain('content-length: 0')
  })

  it('says of a header only what all operations on it come to', async () => {
    check.answer({
      requestHeaders: [
        { name: 'x-user', value: 'a', operation: 'REPLACE' },
        { name: 'x-user', value: '', operation: 'REMOVE' },
        { name: 'x-back', value: '', operation: 'REMOVE' },
        { name: 'x-back', value: '1', operation: 'APPEND' },
        { name: 'x-back', value: '2', operation: 'APPEND' },
        { name: 'host', value: '', operation: 'REMOVE' },
      ],
      responseHeaders: [
        { name: 'set-cookie', value: 'a=1', operation: 'APPEND' },
        { name: 'set-cookie', value: 'b=2', operation: 'APPEND' },
      ],
    })
    const { head } = await raw('GET /v1/authz/a')
    expect(head).not.toContain('x-user:')
    expect(head).toContain('x-back: 1, 2')
    expect(head).toContain('x-envoy-auth-headers-to-remove: x-user\r\n')
    expect(head).toMatch(/set-cookie: a=1\r\nset-cookie: b=2/)
  })

  it('joins what it appends only where it may be joined', async () => {
    const append = (name: string, value: string) => ({ name, value, operation: 'APPEND' as const })
    check.answer({
      requestHeaders: [
        append('cookie', 'a=1'),
        append('cookie', 'b=2'),
        append('authorization', 'x'),
        append('authorization', 'y'),
      ],
      responseHeaders: [
        append('set-cookie', 'a=1'),
        append('set-cookie', 'b=2'),
        append('vary', 'x'),
        append('vary', 'y'),
      ],
    })
    const { head } = await raw('GET /v1/authz/a')
    expect(head).toContain('\r\ncookie: a=1; b=2\r\n')
    expect(head).toContain('\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n')
    expect(head).toContain('\r\nvary: x, y\r\n')
    expect(head.match(/\r\nauthorization: .*/g)).toEqual(['\r\nauthorization: y'])
  })

  it('denies with the denial’s own status, body and headers', async () => {
    check.answer({ status: { code: Code.RESOURCE_EXHAUSTED, message: 'slow down' }, validForMs: 2_500 })
    const limited = await raw('GET /v1/authz/a')
    expect([limited.status, limited.body]).toEqual([429, 'slow down'])
    expect(limited.head).toContain('retry-after: 3')
    check.answer({
      status: { code: Code.UNAUTHENTICATED, message: 'who?' },
      directResponse: { code: 302, body: '', headers: { Location: '/login' } },
    })
    const away = await raw('GET /v1/authz/a')
    expect([away.status, away.body]).toEqual([302, 'who?'])
    expect(away.head).toContain('location: /login')
  })

  it('tells a cache that an operator has put before it for how long an answer may stand, and clients’ caches nothing', async () => {
    const said = async () => (await raw('GET /v1/authz/a')).head.match(/\r\n(?:cache-control|age): .*/g)
    check.answer({ ageMs: 1_500, validForMs: 29_999 })
    expect(await said()).toEqual(['\r\ncache-control: private, max-age=29'])
    const kept = '\r\ncache-control: no-store'
    for (const parts of [
      { validForMs: 999 },
      { tier: 'stale' as const, validForMs: 0 },
      { validUses: 9_999 },
      { status: { code: Code.PERMISSION_DENIED, message: 'no' } },
      { status: { code: Code.NOT_FOUND, message: 'none' }, directResponse: { code: 404, body: '', headers: {} } },
    ]) {
      check.answer(parts)
      expect(await said()).toEqual([kept])
    }
    const headers = { 'Cache-Control': 'private, max-age=5' }
    check.answer({
      status: { code: Code.NOT_FOUND, message: 'none' },
      directResponse: { code: 404, body: '', headers },
    })
    expect(await said()).toEqual(['\r\ncache-control: private, max-age=5'])
    check.decide = () => {
      throw new IntermixError('OVERLOADED', 'too much to do')
    }
    expect(await said()).toEqual([kept])
  })

  it('never lets a denial pass because its page has status 200', async () => {
    check.answer({
      status: { code: Code.PERMISSION_DENIED, message: 'no' },
      directResponse: { code: 200, body: 'page', headers: {} },
    })
    const response = await raw('GET /v1/authz/a')
    expect([response.status, response.body]).toEqual([403, 'page'])
  })

  it('denies with 403 and the real status beside it where nginx asks so', async () => {
    check.answer({ status: { code: Code.RESOURCE_EXHAUSTED, message: 'slow down' } })
    const response = await raw('GET /v1/authz?deny=403', { 'x-forwarded-uri': '/a' })
    expect(response.status).toBe(403)
    expect(response.head).toContain('x-intermix-status: 429')
    expect(response.head).toContain('x-mixer-status: 429')
    expect(response.head).toContain('retry-after:')
  })

  it.each([false, true])('answers 503 where the node fails, whatever the mode (asynchronously: %s)', async (later) => {
    check.decide = () => {
      const error = new IntermixError('DEADLINE_EXCEEDED', 'too late')
      if (later) return Promise.reject(error)
      throw error
    }
    expect((await raw('GET /v1/authz/a')).status).toBe(503)
    expect((await raw('GET /v1/authz?deny=403', { 'x-forwarded-uri': '/a' })).status).toBe(503)
  })

  it('names every range of its settings that is none', () => {
    expect(() =>
      createHttpServer({ ...given, trustForwarded: ['10.0.0.0/8', '10.0.0.0/33', 'local'] }, createHost),
    ).toThrow('not CIDR ranges such as 10.0.0.0/8: 10.0.0.0/33, local')
  })
})
