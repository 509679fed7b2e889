// TLS to a real node, with files that change.
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { EMPTY_BAG } from '../../../src/kernel/attribute-bag.ts'
import { NodeLink } from '../../../src/client/nodes/node-link.ts'
import { NodePool } from '../../../src/client/nodes/node-pool.ts'
import { tlsFromFiles } from '../../../src/client/nodes/tls-files.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { createNativeServer } from '../../../src/server/http2/server.ts'
import { type Certificates, createCertificates } from '../../helpers/certificates.ts'
import { toolOrSkip } from '../../helpers/tools.ts'
import { dependencies } from '../../server/fixtures.ts'
import { servedCalmly } from './served-calmly.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function certificates(): Promise<Certificates> {
  const made = await createCertificates()
  ends.push(() => made.remove())
  return made
}

/** A node that takes callers with certificates of the same authority. */
async function nodeWith({ certificate, key, authority }: Certificates) {
  const given = dependencies()
  const server = createNativeServer({ ...servedCalmly(given), tls: { cert: certificate, key, clientCa: authority } })
  const port = await server.listen({ host: '127.0.0.1', port: 0 })
  ends.push(() => server.drain(0))
  return { given, port }
}

describe.skipIf(toolOrSkip('openssl') === undefined)('TLS to nodes', () => {
  it('shows a certificate, and reads files anew for each connection, as long as they can be used', async () => {
    const [own, other] = [await certificates(), await certificates()]
    const folder = await mkdtemp(join(tmpdir(), 'intermix-tls-files-'))
    ends.push(() => rm(folder, { recursive: true, force: true }))
    const [ca, cert, key] = [join(folder, 'ca'), join(folder, 'cert'), join(folder, 'key')] as const
    await copyFile(other.authority, ca)
    await copyFile(own.certificate, cert)
    await copyFile(own.key, key)
    const { given, port } = await nodeWith(own)
    const tls = tlsFromFiles({ ca, cert, key }, given.log)
    const address = { host: '127.0.0.1', port, tls }
    const link = new NodeLink({
      clock: systemClock,
      random: Math.random,
      address,
      connectTimeoutMs: 5_000,
      onLeaving: () => {},
    })
    ends.push(() => link[Symbol.dispose]())
    const ask = () => link.ask({ bag: EMPTY_BAG, timeoutMs: 5_000 })
    // Callers are not told why: it would name the node.
    const refused = expect.objectContaining({
      message: expect.stringMatching(/self.signed certificate|unable to verify/) as string,
    }) as Error
    await expect(ask()).rejects.toMatchObject({ cause: refused })
    await copyFile(own.authority, ca)
    // A connection that was lost is not made anew at once.
    await expect.poll(async () => (await ask()).answer.status.code).toBe(0)
    // What is being written is not used.
    await writeFile(ca, 'half a certif')
    expect(tls.ca).toContain('BEGIN CERTIFICATE')
    expect(given.log.errors.map(({ message }) => message)).toEqual([expect.stringContaining('the last good one is')])
  })

  it('stays calm while a certificate and its key are changed one after the other', async () => {
    const [own, other] = [await certificates(), await certificates()]
    const folder = await mkdtemp(join(tmpdir(), 'intermix-tls-files-'))
    ends.push(() => rm(folder, { recursive: true, force: true }))
    const [cert, key] = [join(folder, 'cert'), join(folder, 'key')] as const
    await copyFile(own.certificate, cert)
    await copyFile(own.key, key)
    const { given, port } = await nodeWith(own)
    const tls = tlsFromFiles({ ca: own.authority, cert, key }, given.log)
    const pool = new NodePool({ clock: systemClock, random: () => 0.5, connectTimeoutMs: 5_000, caller: 'sidecar-1' })
    ends.push(() => pool[Symbol.dispose]())
    await copyFile(other.key, key)
    pool.setMembers([{ id: 'n', address: { host: '127.0.0.1', port, tls } }])
    const ask = () => pool.ask({ bag: EMPTY_BAG, timeoutMs: 5_000, affinity: '', tenant: '' })
    await expect(ask()).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
    expect(pool.view()[0]?.restsForMs).toBeGreaterThan(0)
    await copyFile(own.key, key)
    await expect.poll(async () => (await ask()).answer.status.code).toBe(0)
  })

  it('tells all that is wrong with files at once, by flag', async () => {
    const { authority, certificate } = await certificates()
    const { log } = dependencies()
    expect(() => tlsFromFiles({ ca: 'nowhere', cert: certificate, key: authority }, log)).toThrow(
      /^--nodes-tls-ca: nowhere cannot be used: ENOENT.*\n--nodes-tls-key: .* no private key/,
    )
  })
})
