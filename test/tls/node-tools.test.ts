// Tools of the command line that ask a node over TLS, and what they say where that does not come about.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer as createHttp } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import { testIo } from '../cli/support.ts'
import { type Certificates, createCertificates } from '../helpers/certificates.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { atEnd } from './support.ts'

const RECEIPT = { sequence: 4, confirmed: ['n1'], unconfirmed: [], boundMs: 0 }

describe.skipIf(toolOrSkip('openssl') === undefined)('tools that ask over TLS', () => {
  let own: Certificates
  let other: Certificates
  let named: Certificates
  let expired: Certificates
  beforeAll(async () => {
    ;[own, other, named, expired] = await Promise.all([
      createCertificates(),
      createCertificates(),
      createCertificates('DNS:node.internal'),
      createCertificates('IP:127.0.0.1', { expired: true }),
    ])
  })
  afterAll(() => Promise.all([own, other, named, expired].map((made) => made.remove())))

  /** An admin port that answers a revocation. */
  async function adminOver(made: Certificates, clientCa?: Certificates) {
    const [cert, key] = [await readFile(made.certificate), await readFile(made.key)]
    const mutual = clientCa && { ca: await readFile(clientCa.authority), requestCert: true }
    const seen: unknown[] = []
    const server = createServer({ cert, key, ...mutual }, (request, response) => {
      void json(request).then((body) => {
        seen.push([request.method, request.url, request.headers['content-type'], body])
        response.end(JSON.stringify(RECEIPT))
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    atEnd(() => {
      server.closeAllConnections()
      server.close()
    })
    return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
  }

  async function revoke(...args: string[]) {
    const io = { ...testIo(), readFile: async (path: string) => await readFile(path, 'utf8') }
    const code = await runCommand(['revoke', '--all', ...args], io)
    return { code, said: [...io.lines, ...io.errors].join('\n') }
  }

  it('show a certificate, and trust the authority that they are told', async () => {
    const { url, seen } = await adminOver(own, other)
    const files = ['--tls-ca', own.authority, '--tls-cert', other.certificate, '--tls-key', other.key]
    expect(await revoke('--admin', url, ...files)).toEqual({
      code: 0,
      said: 'revocation 4 is confirmed by 1 of 1 nodes',
    })
    expect(seen).toEqual([['POST', '/v1/revocations', 'application/json', { kind: 'all' }]])
    const without = await revoke('--admin', url, '--tls-ca', own.authority)
    expect(without).toEqual({
      code: 3,
      said: expect.stringMatching(/wants a client certificate.*--tls-cert/) as string,
    })
    const wrong = ['--tls-ca', own.authority, '--tls-cert', own.certificate, '--tls-key', own.key]
    expect(await revoke('--admin', url, ...wrong)).toEqual({
      code: 3,
      said: expect.stringMatching(/may not take the certificate/) as string,
    })
  })

  it('say what is wrong with the certificate of the node', async () => {
    const { url } = await adminOver(own)
    const asked = async (at: string, ...args: string[]) => {
      const { code, said } = await revoke('--admin', at, ...args)
      expect([code, said]).toEqual([3, expect.stringContaining(`no answer from ${at}/v1/revocations: `)])
      return said
    }
    expect(await asked(url)).toMatch(/of no authority that is trusted here; --tls-ca says/)
    expect(await asked(url, '--tls-ca', other.authority)).toContain(`of no authority in ${other.authority} (--tls-ca)`)
    const old = await adminOver(expired)
    expect(await asked(old.url, '--tls-ca', expired.authority)).toContain('its certificate has expired')
    const elsewhere = await adminOver(named)
    expect(await asked(elsewhere.url, '--tls-ca', named.authority)).toMatch(
      /is for DNS:node\.internal only; --tls-name/,
    )
    const told = ['--tls-ca', named.authority, '--tls-name', 'node.internal']
    expect((await revoke('--admin', elsewhere.url, ...told)).code).toBe(0)
  })

  it('say where one side speaks TLS and the other does not', async () => {
    const { url } = await adminOver(own)
    expect((await revoke('--admin', url.replace('https', 'http'))).said).toMatch(/begins with https/)
    const plain = createHttp((_request, response) => response.end('{}'))
    plain.listen(0, '127.0.0.1')
    await once(plain, 'listening')
    atEnd(() => plain.close())
    const { port } = plain.address() as AddressInfo
    expect((await revoke('--admin', `https://127.0.0.1:${port}`)).said).toMatch(/it speaks no TLS/)
  })

  it('say all that is wrong with files at once, by flag', async () => {
    const files = ['--tls-ca', 'nowhere.pem', '--tls-cert', own.key]
    const { code, said } = await revoke('--admin', 'https://127.0.0.1:1', ...files)
    expect(code).toBe(2)
    expect(said).toMatch(/--tls-ca: nowhere\.pem .*\n--tls-cert: .*no certificate in PEM.*\n--tls-key: missing/)
    const unlike = await revoke('--admin', 'https://127.0.0.1:1', '--tls-cert', own.certificate, '--tls-key', other.key)
    expect(unlike).toEqual({ code: 2, said: expect.stringMatching(/--tls-key: .* is not the key of/) as string })
    const unused = await revoke('--tls-ca', own.authority)
    expect(unused).toEqual({ code: 2, said: expect.stringMatching(/^.*--tls-ca: http.* without TLS; give/) as string })
  })
})
