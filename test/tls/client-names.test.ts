// Which clients of an authority are let in, by the names in their certificates.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasName, namesOf } from '../../src/tls/client-certificate.ts'
import { createHttpServer } from '../../src/server/http.ts'
import { fastifyHost } from '../../src/server/fastify-host.ts'
import { type Certificates, createCertificates } from '../helpers/certificates.ts'
import { FrameClient } from '../helpers/http2/frame-client.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { dependencies } from '../server/fixtures.ts'
import { SAY, startNative } from '../server/http2/support.ts'
import { ask, atEnd, clientOf } from './support.ts'

const PROXY = 'spiffe://mesh.test/ns/gateways/sa/envoy'
const CHECK = { path: '/v1/check', body: '{"attributes": {"request.path": "/a"}}' }

describe('names in certificates', () => {
  it.each([
    ['DNS:localhost, IP Address:127.0.0.1', ['localhost']],
    [`URI:${PROXY}, DNS:a.test`, [PROXY, 'a.test']],
    // What one name holds is never two.
    [String.raw`email:"a, URI:spiffe://mesh.test/admin", DNS:b.test`, ['b.test']],
    [String.raw`DNS:"a\", URI:spiffe://mesh.test/admin"`, ['a", URI:spiffe://mesh.test/admin']],
    ['DNS:a.test, unreadable', []],
    [String.raw`DNS:"\x", DNS:a.test`, []],
    ['', []],
  ])('are read from %s', (subjectAltName, names) => {
    expect(namesOf({ subjectAltName })).toEqual(names)
  })

  it.each([
    [PROXY, true],
    ['spiffe://mesh.test/ns/gateways/*', true],
    ['spiffe://mesh.test/ns/gateways', false],
    ['spiffe://mesh.test/ns/gateway/*', false],
    ['*.test', false],
    ['A.test', false],
  ])('fit %s: %s', (allowed, fits) => {
    expect(hasName({ subjectAltName: `URI:${PROXY}, DNS:a.test` }, ['other', allowed])).toBe(fits)
  })
})

describe.skipIf(toolOrSkip('openssl') === undefined)('clients with a certificate of the authority', () => {
  let own: Certificates
  let proxy: Certificates
  beforeAll(async () => {
    ;[own, proxy] = await Promise.all([createCertificates(), createCertificates(`URI:${PROXY}`)])
  })
  afterAll(() => Promise.all([own.remove(), proxy.remove()]))
  const tlsFor = (...clientNames: string[]) => ({
    cert: own.certificate,
    key: own.key,
    clientCa: proxy.authority,
    clientNames,
  })

  it('are let in over HTTP by their names only', async () => {
    const given = dependencies()
    const portOf = async (...names: string[]) => {
      const server = createHttpServer({ ...given, tls: tlsFor(...names) }, fastifyHost)
      atEnd(() => server.drain(0))
      return await server.listen({ host: '127.0.0.1', port: 0 })
    }
    const tls = await clientOf(own, proxy)
    expect((await ask({ port: await portOf('spiffe://mesh.test/ns/gateways/*'), tls, ...CHECK })).status).toBe(200)
    const other = await portOf('spiffe://mesh.test/ns/other/*', 'localhost')
    await expect(ask({ port: other, tls, ...CHECK })).rejects.toThrow()
    expect(given.check.asked).toHaveLength(1)
    expect(given.meter.counts.get('tls_handshakes_refused_total{http,name}')).toBe(1)
  })

  it('are let in over gRPC by their names only', async () => {
    const tls = await clientOf(own, proxy)
    const open = { ca: tls.ca as Buffer, cert: tls.cert as Buffer, key: tls.key as Buffer }
    const right = await startNative({ tls: tlsFor(PROXY) })
    const known = await FrameClient.open({ port: right.port, tls: open })
    expect((await known.response(known.call(SAY, Buffer.from('a')))).body.length).toBeGreaterThan(0)
    known.destroy()
    const wrong = await startNative({ tls: tlsFor('spiffe://mesh.test/other') })
    const stranger = await FrameClient.open({ port: wrong.port, tls: open }).catch(() => undefined)
    await stranger?.ended()
    expect(stranger?.received ?? []).toEqual([])
    await expect.poll(() => wrong.count('tls_handshakes_refused_total{grpc,name}')).toBe(1)
    await expect.poll(() => wrong.count('grpc_connections{}')).toBe(0)
  })
})
