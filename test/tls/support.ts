// Clients over TLS for tests of listeners, and certificates in files that change.
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import { afterEach } from 'vitest'
import type { Certificates } from '../helpers/certificates.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** Ends something after the test. */
export function atEnd(end: () => unknown): void {
  ends.push(end)
}

/** Files that hold one pair of certificate and key after the other. */
export async function changingFiles(first: Certificates) {
  const folder = await mkdtemp(join(tmpdir(), 'intermix-listener-'))
  atEnd(() => rm(folder, { recursive: true, force: true }))
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')] as const
  const put = async (from: Certificates) => {
    await copyFile(from.certificate, cert)
    await copyFile(from.key, key)
  }
  await put(first)
  return { cert, key, put }
}

/** What a client needs that trusts the authority of `trusted` and shows the certificate of `shown`. */
export async function clientOf(trusted: Certificates, shown?: Certificates): Promise<ConnectionOptions> {
  return {
    ca: await readFile(trusted.authority),
    ...(shown && { cert: await readFile(shown.certificate), key: await readFile(shown.key) }),
  }
}

/** An agent that keeps its connections, until the test ends. */
export function keepingAgent(options: ConnectionOptions, sockets = 1): Agent {
  const agent = new Agent({ ...options, keepAlive: true, maxSockets: sockets })
  atEnd(() => agent.destroy())
  return agent
}

interface Asked {
  readonly port: number
  readonly path: string
  readonly agent?: Agent
  readonly tls?: ConnectionOptions
  readonly body?: string
}

/** Asks over HTTPS: POST where there is a body. */
export function ask({ port, path, agent, tls, body }: Asked): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST'
    const headers = body === undefined ? {} : { 'content-type': 'application/json' }
    const options = { host: '127.0.0.1', port, path, method, headers, agent: agent ?? false, ...(tls as object) }
    const sent = request(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      response.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
