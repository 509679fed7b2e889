// The HTTP listener over TLS, on each host of its routes.
import { once } from 'node:events'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createHttpServer, type HttpServerOptions } from '../../src/server/http.ts'
import type { CreateHttpHost } from '../../src/server/http-host.ts'
import { type Certificates, createCertificates } from '../helpers/certificates.ts'
import { FakeClock } from '../helpers/clock.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { answerOf, dependencies } from '../server/fixtures.ts'
import { HOSTS } from '../server/hosts.ts'
import { ask, atEnd, changingFiles, clientOf, keepingAgent } from './support.ts'

const CHECK = { path: '/v1/check', body: '{"attributes": {"request.path": "/a"}}' }

async function start(createHost: CreateHttpHost, options: Partial<HttpServerOptions>) {
  const given = dependencies()
  const server = createHttpServer({ ...given, ...options }, createHost)
  const port = await server.listen({ host: '127.0.0.1', port: 0 })
  atEnd(() => server.drain(0))
  const count = (name: string) => given.meter.counts.get(name) ?? 0
  return { ...given, server, port, count }
}

describe.skipIf(toolOrSkip('openssl') === undefined).each(HOSTS)('HTTP over TLS on %s', (_, createHost) => {
  let first: Certificates
  let second: Certificates
  beforeAll(async () => {
    ;[first, second] = await Promise.all([createCertificates(), createCertificates()])
  })
  afterAll(() => Promise.all([first.remove(), second.remove()]))
  const filesOf = ({ certificate, key }: Certificates) => ({ cert: certificate, key })

  it('answers checks and forward-auth, from 1.2 on and in HTTP/1.1', async () => {
    const { port } = await start(createHost, { tls: filesOf(first) })
    const tls = await clientOf(first)
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const asked = { port, tls: { ...tls, minVersion: version, maxVersion: version } }
      expect((await ask({ ...asked, ...CHECK })).status).toBe(200)
      expect((await ask({ ...asked, path: '/v1/authz/a' })).status).toBe(200)
    }
    const old = { ...tls, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await expect(ask({ port, tls: old, ...CHECK })).rejects.toThrow(/protocol version|ssl/i)
    const socket = connectTls({ port, host: '127.0.0.1', ALPNProtocols: ['h2', 'http/1.1'], ...tls })
    atEnd(() => socket.destroy())
    await once(socket, 'secureConnect')
    expect(socket.alpnProtocol).toBe('http/1.1')
  })

  it('lets only clients in whom the authority knows, and says why others are not', async () => {
    const { port, count, log, check } = await start(createHost, {
      tls: { ...filesOf(first), clientCa: second.authority },
    })
    expect((await ask({ port, tls: await clientOf(first, second), ...CHECK })).status).toBe(200)
    for (const shown of [undefined, first])
      await expect(ask({ port, tls: await clientOf(first, shown), ...CHECK })).rejects.toThrow()
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write('GET /v1/authz/a HTTP/1.1\r\nhost: a\r\n\r\n')
    await once(socket.resume(), 'close')
    expect(check.asked).toHaveLength(1)
    await expect.poll(() => count('tls_handshakes_refused_total{http,certificate}')).toBe(2)
    await expect.poll(() => count('tls_handshakes_refused_total{http,failed}')).toBe(1)
    expect(log.warnings.map(({ message }) => message)).toEqual([expect.stringMatching(/^a client at .* not let in/)])
  })

  it('says of who speaks no TLS that it does not', async () => {
    const { port, log } = await start(createHost, { tls: filesOf(first) })
    await expect(fetch(`http://127.0.0.1:${port}/v1/authz/a`)).rejects.toThrow()
    await expect
      .poll(() => log.warnings.map(({ fields }) => fields))
      .toEqual([{ listener: 'http', reason: 'it speaks HTTP without TLS' }])
  })

  it('changes certificates under load without a failed request', async () => {
    const clock = new FakeClock()
    const files = await changingFiles(first)
    const { port, count } = await start(createHost, { clock, tls: files })
    const trusted = await Promise.all([first, second].map(async (each) => (await clientOf(each)).ca as Buffer))
    const [kept, tls] = [keepingAgent({ ca: trusted }, 4), { ca: trusted }]
    let asked = 0
    const ended = new AbortController()
    const failures: unknown[] = []
    const load = async (over: object) => {
      while (!ended.signal.aborted) {
        asked += 1
        const { status } = await ask({ port, ...over, ...CHECK }).catch((error: unknown) => ({ status: error }))
        if (status !== 200) failures.push(status)
      }
    }
    const loads = [{ agent: kept }, { agent: kept }, { tls }, { tls }].map(load)
    for (const [times, next] of [second, first, second].entries()) {
      await files.put(next)
      await clock.advance(10_000)
      await expect.poll(() => count('tls_loads_total{http,applied}')).toBe(times + 1)
      const before = asked
      await expect.poll(() => asked - before).toBeGreaterThan(20)
      await expect.poll(() => clock.pending).toBeGreaterThan(0)
      expect((await ask({ port, tls: await clientOf(next), ...CHECK })).status).toBe(200)
    }
    ended.abort()
    await Promise.all(loads)
    expect(failures).toEqual([])
  })

  it('drains: what is asked is answered, what is idle or half of a handshake ends', async () => {
    const clock = new FakeClock()
    const { port, server, check } = await start(createHost, { clock, tls: filesOf(first) })
    const held = Promise.withResolvers<void>()
    check.decide = async () => {
      await held.promise
      return { answer: answerOf(), quotas: new Map() }
    }
    const tls = await clientOf(first)
    const idle = connectTls({ port, host: '127.0.0.1', ...tls }).on('error', () => undefined)
    await once(idle, 'secureConnect')
    const half = connect(port, '127.0.0.1').on('error', () => undefined)
    await once(half, 'connect')
    const asked = ask({ port, agent: keepingAgent(tls), ...CHECK })
    await expect.poll(() => check.asked).toHaveLength(1)
    const drained = server.drain(3_600_000)
    await once(idle.resume(), 'close')
    await clock.advance(100)
    await once(half.resume(), 'close')
    held.resolve()
    expect((await asked).status).toBe(200)
    await drained
  })

  it('says all that is wrong with the files at once, by flag', async () => {
    const tls = { cert: 'nowhere.pem', key: first.certificate, clientCa: first.key }
    await expect(start(createHost, { tls })).rejects.toThrow(
      /^--http-tls-cert: .*ENOENT.*\n--http-tls-key: .* no private key.*\n--http-tls-client-ca: .* no certificate in PEM/,
    )
  })
})
