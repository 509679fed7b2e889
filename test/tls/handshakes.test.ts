// Clients that begin a handshake and never end it, or hide who they are.
import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { certificateOf } from '../../src/tls/client-certificate.ts'
import { createHttpOver } from '../../src/tls/http-over.ts'
import { TlsListener, type TlsListenerOptions } from '../../src/tls/tls-listener.ts'
import { type Certificates, createCertificates } from '../helpers/certificates.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { dependencies } from '../server/fixtures.ts'
import { ask, atEnd, clientOf } from './support.ts'

describe.skipIf(toolOrSkip('openssl') === undefined)('handshakes', () => {
  let own: Certificates
  beforeAll(async () => {
    own = await createCertificates()
  })
  afterAll(() => own.remove())

  async function start(options: Partial<TlsListenerOptions> = {}) {
    const given = dependencies()
    const { certificate: cert, key, authority: clientCa } = own
    const files = { cert, key, clientCa }
    const tls = new TlsListener({ ...given, listener: 'admin', files, admitUnproven: true, ...options })
    const server = createHttpOver(tls, {}, ({ socket }, response) => {
      response.end(String(certificateOf(socket)?.subject))
    })
    await tls.start()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    atEnd(() => {
      tls.stop()
      tls.endHandshakes()
      server.close()
      server.closeAllConnections()
    })
    const count = (name: string) => given.meter.counts.get(name) ?? 0
    return { ...given, tls, server, port: (server.address() as AddressInfo).port, count }
  }

  async function half(port: number): Promise<Socket> {
    const socket = connect(port, '127.0.0.1')
    atEnd(() => socket.destroy())
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    return socket.resume()
  }

  it('do not pile up: beyond the bound the oldest gives way, and who comes is answered', async () => {
    const { port, count } = await start({ maxHandshakes: 3 })
    const stalled: Socket[] = []
    for (let at = 0; at < 5; at++) stalled.push(await half(port))
    await Promise.all(stalled.slice(0, 2).map((socket) => once(socket, 'close')))
    expect((await ask({ port, path: '/', tls: await clientOf(own) })).status).toBe(200)
    await expect.poll(() => stalled.filter(({ destroyed }) => destroyed).length).toBe(3)
    expect(count('tls_handshakes_refused_total{admin,limit}')).toBe(3)
    expect(count('tls_handshakes_refused_total{admin,gone}')).toBe(0)
  })

  it('end when they take too long', async () => {
    const { port, count, log } = await start({ handshakeMs: 20 })
    await once(await half(port), 'close')
    expect(count('tls_handshakes_refused_total{admin,slow}')).toBe(1)
    expect(log.warnings).toHaveLength(1)
  })

  it('prove nothing where a session without a certificate is taken up again', async () => {
    const { port } = await start()
    const tls = await clientOf(own)
    const once13 = connectTls({ port, host: '127.0.0.1', ...tls, minVersion: 'TLSv1.3' })
    const session = new Promise<Buffer>((resolve) => once13.once('session', resolve))
    await once(once13, 'secureConnect')
    const taken = await session
    once13.destroy()
    const again = await ask({ port, path: '/', tls: { ...tls, session: taken, minVersion: 'TLSv1.3' } })
    expect(again.text).toBe('undefined')
    expect((await ask({ port, path: '/', tls: await clientOf(own, own) })).text).toBe('CN=redis')
  })
})
