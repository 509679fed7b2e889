// The admin port over TLS, on both of its hosts: who has no certificate hears whether the process is ready, and no more.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Health } from '../../src/observe/health.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { TlsListener } from '../../src/tls/tls-listener.ts'
import { type Certificates, createCertificates } from '../helpers/certificates.ts'
import { FakeClock } from '../helpers/clock.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { ADMIN_HOSTS } from '../observe/admin-hosts.ts'
import { ask, atEnd, changingFiles, clientOf } from './support.ts'

describe.skipIf(toolOrSkip('openssl') === undefined).each(ADMIN_HOSTS)('the admin port over TLS on %s', (_, create) => {
  let own: Certificates
  let other: Certificates
  beforeAll(async () => {
    ;[own, other] = await Promise.all([createCertificates(), createCertificates()])
  })
  afterAll(() => Promise.all([own.remove(), other.remove()]))

  async function start(clientCa?: string, host = '127.0.0.1', clientNames: string[] = []) {
    const files = await changingFiles(own)
    const [clock, health, meter] = [new FakeClock(), new Health(), createMeter({ processMetrics: false })]
    const log = createLogger({ format: 'json', level: 'info', terminal: false, write: () => undefined })
    const tls = new TlsListener({
      clock,
      log,
      meter,
      listener: 'admin',
      files: { ...files, clientCa, clientNames },
      admitUnproven: true,
    })
    const operations = new Map([['revocations', async () => ({ httpStatus: 200, body: { sequence: 1 } })]])
    const server = create({ meter, health, debug: new Map(), operations, log, version: { version: '1' }, tls })
    atEnd(() => server.close())
    const port = Number((await server.listen({ host, port: 0 })).split(':').at(-1))
    return { port, clock, files, meter, health }
  }

  it('answers who knows its authority, and goes on with new certificates', async () => {
    const { port, clock, files, meter } = await start()
    expect((await ask({ port, path: '/version', tls: await clientOf(own) })).status).toBe(200)
    await expect(ask({ port, path: '/version', tls: await clientOf(other) })).rejects.toThrow(/certificate/)
    await files.put(other)
    await clock.advance(10_000)
    await expect.poll(() => meter.render()).toContain('intermix_tls_loads_total{listener="admin",outcome="applied"} 1')
    expect((await ask({ port, path: '/version', tls: await clientOf(other) })).status).toBe(200)
  })

  it('tells who has no certificate of ours whether it is ready, and nothing else', async () => {
    const { port, health } = await start(other.authority)
    health.set('redis', false, 'redis://10.0.0.1 is down')
    for (const tls of [await clientOf(own), await clientOf(own, own)]) {
      expect((await ask({ port, path: '/healthz', tls })).status).toBe(200)
      const ready = await ask({ port, path: '/readyz', tls })
      expect([ready.status, JSON.parse(ready.text)]).toEqual([503, { status: 'not ready' }])
      for (const path of ['/metrics', '/version', '/debug', '/debug/log-level', '/v1/revocations', '/nothing', '/']) {
        const refused = await ask({ port, path, tls })
        expect([path, refused.status, JSON.parse(refused.text)]).toEqual([
          path,
          401,
          { code: 'UNAUTHENTICATED', message: expect.stringContaining('--admin-tls-client-ca') as string },
        ])
      }
      expect((await ask({ port, path: '/v1/revocations', tls, body: '{"kind":"all"}' })).status).toBe(401)
    }
    const tls = await clientOf(own, other)
    expect(JSON.parse((await ask({ port, path: '/readyz', tls })).text)).toMatchObject({
      reasons: ['redis: redis://10.0.0.1 is down'],
    })
    expect((await ask({ port, path: '/v1/revocations', tls, body: '{"kind":"all"}' })).status).toBe(200)
  })

  it('tells no more to who has a certificate, but no name that is let in', async () => {
    const tls = await clientOf(own, other)
    const { port } = await start(other.authority, '127.0.0.1', ['spiffe://mesh.test/operators/*'])
    expect((await ask({ port, path: '/metrics', tls })).status).toBe(401)
    expect((await ask({ port, path: '/readyz', tls })).status).toBe(503)
    const named = await start(other.authority, '127.0.0.1', ['spiffe://mesh.test/operators/*', 'localhost'])
    expect((await ask({ port: named.port, path: '/metrics', tls })).status).toBe(200)
  })

  it('has its certificate at every address of a name', async () => {
    const { port } = await start(undefined, 'localhost')
    expect((await ask({ port, path: '/healthz', tls: await clientOf(own) })).status).toBe(200)
  })
})
