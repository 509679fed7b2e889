// A certificate authority of a test's own, and a server certificate for 127.0.0.1 that it signed.

import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Certificates {
  readonly authority: string
  readonly certificate: string
  readonly key: string
  remove(): Promise<void>
}

/** Makes PEM files with openssl, valid for a day, or until yesterday; `names` are what the certificate is for. */
export async function createCertificates(
  names = 'IP:127.0.0.1,DNS:localhost',
  { expired = false } = {},
): Promise<Certificates> {
  const directory = await mkdtemp(join(tmpdir(), 'intermix-tls-'))
  const file = (name: string) => join(directory, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const [authority, certificate, key] = [file('ca.pem'), file('server.pem'), file('server.key')] as const
  const authorityKey = file('ca.key')
  openssl('req', '-x509', ...newKey, '-keyout', authorityKey, '-out', authority, '-days', '1', '-subj', '/CN=test CA')
  openssl('req', ...newKey, '-keyout', key, '-out', file('server.csr'), '-subj', '/CN=redis')
  await writeFile(file('names'), `subjectAltName=${names}\n`)
  const signing = ['-CA', authority, '-CAkey', authorityKey, '-CAcreateserial', '-extfile', file('names')]
  openssl('x509', '-req', '-in', file('server.csr'), ...signing, '-days', expired ? '-1' : '1', '-out', certificate)
  return { authority, certificate, key, remove: () => rm(directory, { recursive: true, force: true }) }
}
