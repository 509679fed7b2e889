import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseIp } from '../../src/kernel/ip-address.ts'
import type { StringMap } from '../../src/kernel/value.ts'
import { createHttpServer, type HttpServer, type HttpServerOptions } from '../../src/server/http.ts'
import { dependencies } from './fixtures.ts'
import { HOSTS } from './hosts.ts'

describe.each(HOSTS)('which request a forward-auth call is about on %s', (_, createHost) => {
  let given: ReturnType<typeof dependencies>
  let server: HttpServer
  let port: number

  async function start(options: Partial<HttpServerOptions> = {}): Promise<void> {
    server = createHttpServer({ ...given, ...options }, createHost)
    port = await server.listen({ host: '127.0.0.1', port: 0 })
  }

  beforeEach(async () => {
    given = dependencies()
    await start()
  })
  afterEach(() => server.drain(1_000))

  /** Sends header lines as bytes, repeated ones too. */
  async function ask(lines: readonly string[], line = 'GET /v1/authz'): Promise<{ status: number; body: string }> {
    const socket = connect(port, '127.0.0.1')
    const head = [`${line} HTTP/1.1`, ...(lines.some((each) => /^host:/i.test(each)) ? [] : ['host: node.test'])]
    socket.write(Buffer.from(`${[...head, 'connection: close', ...lines].join('\r\n')}\r\n\r\n`, 'latin1'))
    const parts: Buffer[] = []
    socket.on('data', (part: Buffer) => parts.push(part))
    await once(socket, 'close')
    const text = Buffer.concat(parts).toString('utf8')
    return { status: Number(text.split(' ')[1]), body: text.split('\r\n\r\n').slice(1).join('') }
  }

  const attribute = (name: string) => given.check.lastBag.get(name)
  const header = (name: string) => (attribute('request.headers') as StringMap).get(name)
  const described = () => ['request.method', 'request.scheme', 'request.host', 'request.path'].map(attribute)
  const refusals = () =>
    [...given.meter.counts].filter(([name]) => name.startsWith('requests_refused_total')).map(([name, n]) => [name, n])

  it.each(['GET /v1/%61uthz', 'GET /%76%31/authz?deny=401', 'GET http://shop.test/v1/authz', 'GET http://v1/authz'])(
    'is refused, not guessed at, where the URL of the call is spelled otherwise: %s',
    async (line) => {
      const { status } = await ask(['X-Forwarded-Uri: /admin'], line)
      expect([400, 404]).toContain(status)
      expect(given.check.asked).toEqual([])
    },
  )

  it.each([
    ['without a word', []],
    ['with an empty X-Forwarded-Uri', ['X-Forwarded-Uri:']],
    ['with an empty X-Original-URL', ['X-Original-URL:', 'X-Original-Method: GET']],
    ['with what is no request target', ['X-Forwarded-Uri: admin']],
    ['with a URL without a host', ['X-Original-URL: https:///admin']],
    ['with a host that hides where the path begins', ['X-Original-URL: https://shop.test?/admin']],
    ['with a user that hides the host', ['X-Original-URL: https://shop.test@other.test/admin']],
    ['with a URL that begins with its host', ['X-Original-URL: //shop.test/admin']],
    ['with a host behind which the proxy has added none', ['X-Forwarded-Uri: /', 'X-Forwarded-Host: shop.test, ']],
    ['with an empty line for the host', ['X-Forwarded-Uri: /', 'X-Forwarded-Host: shop.test', 'X-Forwarded-Host:']],
    ['with an address behind which there is none', ['X-Forwarded-Uri: /', 'X-Forwarded-For: 203.0.113.9,']],
    ['with several methods', ['X-Forwarded-Uri: /', 'X-Forwarded-Method: GET, DELETE']],
    ['with what is no method', ['X-Original-URL: https://shop.test/', 'X-Original-Method: DELETE /admin']],
    ['with a whole URL behind the host', ['X-Original-URL: https://shop.testhttp://other.test/admin']],
  ])('is refused %s, logged with advice once in a while, and counted', async (_, lines) => {
    const response = await ask(lines)
    expect(response.status).toBe(400)
    await ask(lines)
    expect(given.check.asked).toEqual([])
    expect(refusals()).toEqual([['requests_refused_total{forward_auth,undescribed}', 2]])
    expect(given.log.warnings).toEqual([
      {
        fields: expect.objectContaining({
          door: 'forward_auth',
          reason: 'undescribed',
          advice: expect.stringContaining('let the proxy set') as string,
        }) as object,
        message: expect.stringContaining('a request was refused: ') as string,
      },
    ])
  })

  it('is refused with 403 where nginx asks so', async () => {
    expect((await ask([], 'GET /v1/authz?deny=403')).status).toBe(403)
  })

  it('is refused where the proxy is none of ours, and the log says which address to add', async () => {
    await server.drain(1_000)
    await start({ trustForwarded: ['192.0.2.0/24'] })
    const response = await ask(['X-Forwarded-Uri: /admin'])
    expect([response.status, response.body]).toEqual([400, expect.not.stringContaining('127.0.0.1') as string])
    expect(refusals()).toEqual([['requests_refused_total{forward_auth,untrusted}', 1]])
    expect(given.log.warnings[0]?.fields).toMatchObject({
      peer: '127.0.0.1',
      advice: 'if 127.0.0.1 is a proxy of yours, add it to --trust-forwarded',
    })
  })

  it('is read from X-Original-URL and -Method, as ingress-nginx sends them, whatever a client forwards beside them', async () => {
    const lines = [
      'X-Original-URL: https://shop.test/admin?x=1',
      'X-Original-Method: POST',
      'X-Forwarded-For: 203.0.113.9',
    ]
    expect((await ask([...lines, 'X-Forwarded-Host: forged.test', 'X-Forwarded-Proto: http'])).status).toBe(200)
    expect(described()).toEqual(['POST', 'https', 'shop.test', '/admin?x=1'])
    expect(attribute('source.ip')).toEqual(parseIp('203.0.113.9'))
    expect([':method', ':scheme', ':authority', 'host', ':path', 'x-original-url'].map(header)).toEqual([
      'POST',
      'https',
      'shop.test',
      'shop.test',
      '/admin?x=1',
      undefined,
    ])
  })

  it('is read from X-Original-URI with what else is forwarded', async () => {
    const more = ['X-Original-Method: PUT', 'X-Forwarded-Host: shop.test', 'X-Forwarded-Proto: https']
    expect((await ask(['X-Original-URI: /admin', ...more])).status).toBe(200)
    expect(described()).toEqual(['PUT', 'https', 'shop.test', '/admin'])
  })

  it('has the method of either family of headers, where its own names none', async () => {
    await ask(['X-Forwarded-Uri: /', 'X-Original-Method: PUT'])
    expect(attribute('request.method')).toBe('PUT')
    await ask(['X-Original-URL: https://shop.test/', 'X-Forwarded-Method: PUT'])
    expect(attribute('request.method')).toBe('PUT')
    await ask(['X-Forwarded-Uri: /', 'X-Forwarded-Method: PUT', 'X-Original-Method: GET'])
    expect(attribute('request.method')).toBe('PUT')
  })

  it.each(['203.0.113', '0203.0.113.9', '"203.0.113.9"', 'localhost', '203.0.113.9, _hidden', '::1::'])(
    'is refused where its client is at %s, which is no address',
    async (address) => {
      expect((await ask(['X-Forwarded-Uri: /', `X-Forwarded-For: ${address}`])).status).toBe(400)
      expect(refusals()).toEqual([['requests_refused_total{forward_auth,invalid-value}', 1]])
      expect(given.check.asked).toEqual([])
    },
  )

  it.each(['unknown', 'unix:', '@', '203.0.113.9, unknown', ''])(
    'has no address where the proxy says: %s',
    async (text) => {
      expect((await ask(['X-Forwarded-Uri: /', `X-Forwarded-For: ${text}`])).status).toBe(200)
      expect(attribute('source.ip')).toBeUndefined()
    },
  )

  it.each([
    ['path', ['X-Forwarded-Uri: /', 'X-Original-URL: https://shop.test/admin']],
    ['path', ['X-Forwarded-Uri: /', 'X-Original-URI: /admin']],
    ['host', ['X-Forwarded-Uri: /', 'X-Forwarded-Host: a.test', 'X-Original-URL: https://b.test/']],
    ['host', ['X-Forwarded-Uri: http://a.test/', 'X-Forwarded-Host: b.test']],
    ['scheme', ['X-Forwarded-Uri: /', 'X-Forwarded-Proto: https', 'X-Original-URL: http://a.test/']],
    ['method', ['X-Forwarded-Uri: /', 'X-Forwarded-Method: GET', 'X-Original-URI: /', 'X-Original-Method: PUT']],
  ])('is refused where two headers name two: %s', async (part, lines) => {
    const response = await ask(lines)
    expect([response.status, response.body]).toEqual([400, expect.stringContaining(`two ${part}s`) as string])
    expect(refusals()).toEqual([['requests_refused_total{forward_auth,contradictory}', 1]])
  })

  it('is refused where the URL of such a proxy has a slash too many, so that all requests would be for /', async () => {
    expect((await ask(['X-Forwarded-Uri: /admin'], 'GET /v1/authz/')).status).toBe(400)
    expect((await ask(['X-Forwarded-Uri: /?a=1'], 'GET /v1/authz/')).status).toBe(200)
  })

  it('is what follows the prefix, where something does, whatever a client forwards (Envoy over HTTP)', async () => {
    const forged = ['X-Forwarded-Uri: /', 'X-Original-URL: http://forged.test/', 'X-Forwarded-Method: GET']
    await ask(
      ['Host: shop.test', 'X-Forwarded-Host: forged.test', ...forged],
      'DELETE /v1/authz/admin?attr.source.principal=eve',
    )
    expect(described()).toEqual(['DELETE', 'http', 'shop.test', '/admin?attr.source.principal=eve'])
    expect(attribute('source.principal')).toBeUndefined()
  })

  it('is said by the last of repeated headers and by the last in a list, which the nearest proxy has added', async () => {
    await ask([
      'X-Forwarded-Uri: /',
      'X-Forwarded-Uri: /admin,2',
      'X-Forwarded-Host: a.test',
      'X-Forwarded-Host: b.test, c.test',
    ])
    expect([attribute('request.path'), attribute('request.host')]).toEqual(['/admin,2', 'c.test'])
    await ask([
      'X-Forwarded-Uri: /',
      'X-Forwarded-Proto: http, https',
      'X-Forwarded-Method: GET',
      'X-Forwarded-Method: PUT',
    ])
    expect([attribute('request.scheme'), attribute('request.method')]).toEqual(['https', 'PUT'])
  })

  describe('and its headers', () => {
    const uri = 'X-Forwarded-Uri: /'

    it.each([
      'Authorization',
      'Host',
      'Content-Type',
      'User-Agent',
      'Referer',
      'From',
      'If-Modified-Since',
      'Location',
      'Max-Forwards',
      'Proxy-Authorization',
      'Age',
      'ETag',
      'Expires',
      'Last-Modified',
      'Retry-After',
      'Server',
      'Origin',
      'Range',
      'Set-Cookie',
    ])('are refused with two lines of %s, of which each program takes another', async (name) => {
      const response = await ask([uri, `${name}: a`, `${name}: b`])
      expect([response.status, response.body]).toEqual([400, expect.stringContaining(name.toLowerCase()) as string])
      expect(refusals()).toEqual([['requests_refused_total{forward_auth,repeated}', 1]])
      expect(given.check.asked).toEqual([])
    })

    it('are joined by commas, and cookies by semicolons, where they are lists', async () => {
      await ask([uri, 'Accept: a', 'accept: b', 'X-Tag: 1', 'X-Tag: 2', 'X-Tag:', 'Cookie: a=1', 'Cookie: b=2'])
      expect(['accept', 'x-tag', 'cookie'].map(header)).toEqual(['a,b', '1,2,', 'a=1; b=2'])
    })

    it('are UTF-8, and refused where they are not', async () => {
      const bytes = (text: string) => Buffer.from(text, 'utf8').toString('latin1')
      await ask([bytes('X-Forwarded-Uri: /zoë'), bytes('X-User: zoë')])
      expect([attribute('request.path'), header('x-user')]).toEqual(['/zoë', 'zoë'])
      const response = await ask([uri, 'X-User: zo\xeb'])
      expect([response.status, response.body]).toEqual([400, 'the header x-user of the request is not UTF-8'])
      expect((await ask(['X-Forwarded-Uri: /\xed\xa0\x80'])).status).toBe(400)
    })

    it('may be as large as proxies pass them; beyond, the log says what to do', async () => {
      const big = 'a'.repeat(20_000)
      expect((await ask([uri, `cookie: ${big}`, `authorization: ${big}`, `x-c: ${big}`])).status).toBe(200)
      await server.drain(1_000)
      await start({ maxHeaderBytes: 16_384 })
      const response = await ask([uri, `cookie: ${big}`])
      expect([response.status, response.body]).toEqual([
        431,
        expect.stringContaining('more than 16384 bytes') as string,
      ])
      expect(refusals()).toEqual([['requests_refused_total{http,too-large}', 1]])
      expect(given.log.warnings[0]?.fields).toMatchObject({ advice: 'raise --max-header-bytes' })
    })

    it('may be as many as the settings say: none is dropped in silence', async () => {
      const many = (count: number) => Array.from({ length: count }, (_, n) => `x-${n}: ${n}`)
      await server.drain(1_000)
      await start({ limits: { maxMapEntries: 5_000, maxAttributeBytes: 1_000_000 } })
      expect((await ask([uri, ...many(4_000)])).status).toBe(200)
      expect(header('x-3999')).toBe('3999')
      const response = await ask([uri, ...many(5_001)])
      expect([response.status, response.body]).toEqual([400, expect.stringContaining('at most 5000') as string])
    })
  })
})
