// Where the native server listens: TLS whose certificates change, and Unix sockets.
import { createPrivateKey } from 'node:crypto'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PeerCertificate, TLSSocket } from 'node:tls'
import { connect as connectTls } from 'node:tls'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Client, credentials } from '@grpc/grpc-js'
import { type Certificates, createCertificates } from '../../helpers/certificates.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { FrameClient } from '../../helpers/http2/frame-client.ts'
import { grpcMessage } from '../../helpers/http2/frames.ts'
import { toolOrSkip } from '../../helpers/tools.ts'
import { atEnd, SAY, startNative } from './support.ts'

const HELLO = Buffer.from('hello')

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'intermix-listen-'))
  atEnd(() => rm(made, { recursive: true, force: true }))
  return made
}

describe.skipIf(toolOrSkip('openssl') === undefined)('over TLS', () => {
  let first: Certificates
  let second: Certificates
  beforeAll(async () => {
    ;[first, second] = await Promise.all([createCertificates(), createCertificates()])
  })
  afterAll(() => Promise.all([first.remove(), second.remove()]))

  const trusting = ({ authority }: Certificates) => ({ ca: readFileSync(authority) })
  const asClient = ({ certificate, key }: Certificates) => ({ cert: readFileSync(certificate), key: readFileSync(key) })

  it('answers over HTTP/2, to grpc-js too', async () => {
    const { port } = await startNative({ tls: { cert: first.certificate, key: first.key } })
    const client = await FrameClient.open({ port, tls: trusting(first) })
    atEnd(() => client.destroy())
    expect((await client.response(client.call(SAY, HELLO))).body).toEqual(grpcMessage(HELLO))
    const other = new Client(`localhost:${port}`, credentials.createSsl(readFileSync(first.authority)))
    atEnd(() => other.close())
    const same = (bytes: Buffer) => bytes
    const said = await new Promise((resolve, reject) =>
      other.makeUnaryRequest(SAY, same, same, HELLO, (error, reply) =>
        error === null ? resolve(reply) : reject(error),
      ),
    )
    expect(said).toEqual(HELLO)
  })

  it('speaks nothing but HTTP/2', async () => {
    const { port, count } = await startNative({ tls: { cert: first.certificate, key: first.key } })
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ALPNProtocols: ['http/1.1'],
      ...trusting(first),
    })
    await expect(new Promise((_resolve, reject) => socket.on('error', reject))).rejects.toThrow(
      /no application protocol/,
    )
    const plain = await FrameClient.open({ port })
    await plain.ended()
    await expect.poll(() => count('grpc_connections_closed_total{handshake}')).toBe(2)
  })

  it('lets only clients in whom the authority knows', async () => {
    const tls = { cert: first.certificate, key: first.key, clientCa: second.authority }
    const { port, count, log } = await startNative({ tls })
    const known = await FrameClient.open({ port, tls: { ...trusting(first), ...asClient(second) } })
    atEnd(() => known.destroy())
    expect((await known.response(known.call(SAY, HELLO))).body).toEqual(grpcMessage(HELLO))
    for (const stranger of [{}, asClient(first)]) {
      const client = await FrameClient.open({ port, tls: { ...trusting(first), ...stranger } }).catch(() => undefined)
      await client?.ended()
      expect(client?.received ?? []).toEqual([])
    }
    expect(count('grpc_connections{}')).toBe(1)
    await expect.poll(() => count('grpc_connections_closed_total{handshake}')).toBe(2)
    expect(log.warnings.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^a client at 127\.0\.0\.1 was not let in/),
    ])
  })

  it('takes changed certificates into use, and none that cannot be used', async () => {
    const clock = new FakeClock()
    const made = await folder()
    const [cert, key] = [join(made, 'cert.pem'), join(made, 'key.pem')]
    const put = async (from: Certificates) => {
      await copyFile(from.certificate, cert)
      await copyFile(from.key, key)
    }
    await put(first)
    const { port, count, log } = await startNative({ clock, tls: { cert, key } })
    const serial = () =>
      new Promise<string>((resolve, reject) => {
        const socket: TLSSocket = connectTls(
          { port, host: '127.0.0.1', ALPNProtocols: ['h2'], rejectUnauthorized: false },
          () => {
            const { serialNumber }: PeerCertificate = socket.getPeerCertificate()
            socket.destroy()
            resolve(serialNumber)
          },
        )
        socket.on('error', reject)
      })
    const before = await serial()
    const loaded = async (outcome: string, times: number) => {
      await clock.advance(10_000)
      await expect.poll(() => count(`tls_loads_total{grpc,${outcome}}`)).toBe(times)
    }
    await writeFile(cert, 'half a cert')
    await loaded('failed', 1)
    expect(await serial()).toBe(before)
    expect(log.errors).toHaveLength(1)
    await put(second)
    // The watch goes on once the look before it is over.
    await expect.poll(() => clock.pending).toBeGreaterThan(0)
    await loaded('applied', 1)
    expect(await serial()).not.toBe(before)
  })

  it.each([
    ['an empty', 'cert', () => ''],
    ['an empty', 'key', () => ''],
    ['an empty', 'clientCa', () => ''],
    // Half a certificate behind a whole one.
    ['a torn', 'clientCa', (pem: string) => pem + pem.slice(0, pem.length / 2)],
    ['a torn', 'clientCa', (pem: string) => pem.slice(0, pem.length / 2) + pem],
  ] as const)('takes %s %s for no file to use', async (_how, which, broken) => {
    const clock = new FakeClock()
    const path = join(await folder(), 'file.pem')
    const files = { cert: first.certificate, key: first.key, clientCa: first.authority }
    await copyFile(files[which], path)
    const { port, count } = await startNative({ clock, tls: { ...files, [which]: path } })
    await writeFile(path, broken(await readFile(path, 'utf8')))
    await clock.advance(10_000)
    await expect.poll(() => count('tls_loads_total{grpc,failed}')).toBe(1)
    const client = await FrameClient.open({ port, tls: { ...trusting(first), ...asClient(first) } })
    atEnd(() => client.destroy())
    expect((await client.response(client.call(SAY, HELLO))).body).toEqual(grpcMessage(HELLO))
  })

  it.each([
    ['missing', 'nowhere.pem', /--grpc-tls-cert: cannot be read: ENOENT.*nowhere\.pem/],
    ['no certificate', 'package.json', /--grpc-tls-cert: package\.json cannot be used: there is no certificate/],
  ])('says what is wrong with a file that is %s', async (_what, cert, problem) => {
    await expect(startNative({ tls: { cert, key: first.key } })).rejects.toThrow(problem)
  })

  it('says all that is wrong with the files at once, by flag', async () => {
    const tls = { cert: 'nowhere.pem', key: first.certificate, clientCa: first.key }
    await expect(startNative({ tls })).rejects.toThrow(
      /^--grpc-tls-cert: .*ENOENT.*\n--grpc-tls-key: .* no private key.*\n--grpc-tls-client-ca: .* no certificate in PEM/,
    )
  })

  it('says that a key has a passphrase', async () => {
    const key = join(await folder(), 'locked.key')
    const locked = createPrivateKey(await readFile(first.key, 'utf8'))
    await writeFile(key, locked.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }))
    await expect(startNative({ tls: { cert: first.certificate, key } })).rejects.toThrow(/--grpc-tls-key: .*passphrase/)
  })

  it('says that a key belongs to another certificate', async () => {
    await expect(startNative({ tls: { cert: first.certificate, key: second.key } })).rejects.toThrow(
      /^--grpc-tls-key: .* is not the key of the first certificate in /,
    )
  })

  it('does not wait for half a handshake when it drains', async () => {
    const { port, server } = await startNative({ tls: { cert: first.certificate, key: first.key } })
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    atEnd(() => socket.destroy())
    await new Promise((resolve) => socket.once('connect', resolve))
    await server.drain(3_600_000)
  })

  it('does not wait for halves of handshakes at a Unix socket for longer than it may', async () => {
    const path = join(await folder(), 'grpc')
    const { server } = await startNative({ path, tls: { cert: first.certificate, key: first.key } })
    for (const socket of [connect({ path, allowHalfOpen: true }), connect({ path, allowHalfOpen: true })]) {
      socket.on('error', () => undefined)
      await new Promise((resolve) => socket.once('connect', resolve))
    }
    await server.drain(100)
  })
})

describe('at a Unix socket', () => {
  it('answers, and leaves no file behind', async () => {
    const path = join(await folder(), 'grpc')
    const { server } = await startNative({ path })
    const client = await FrameClient.open({ path })
    expect((await client.response(client.call(SAY, HELLO))).body).toEqual(grpcMessage(HELLO))
    client.destroy()
    await server.drain(1_000)
    await expect(FrameClient.open({ path })).rejects.toThrow(/ENOENT/)
  })
})
