// TLS to the node that a tool asks: its flags, its files, and in words what can go wrong with it.

import type { ConnectionOptions } from 'node:tls'
import { IntermixError, messageOf } from '../kernel/errors.ts'
import { https } from '../kernel/late-modules.ts'
import { isKeyOf, readCertificates, readPrivateKey } from '../kernel/pem.ts'
import { missingHalf } from '../settings/certificate-pair.ts'
import type { OptionTable, OptionValues } from '../settings/options.ts'
import type { CommandIo } from './io.ts'

/** The flags of every command that calls a node. */
export const TLS_OPTIONS = {
  tlsCa: {
    kind: 'path',
    placeholder: 'FILE',
    defaultText: 'those that Node trusts',
    description: "Authorities in PEM that may have signed the node's certificate, for an https URL.",
  },
  tlsCert: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'Certificate that the node is shown (mTLS), with its chain, in PEM.',
    defaultText: 'none',
  },
  tlsKey: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'Key of the certificate that the node is shown, in PEM.',
    defaultText: 'none',
  },
  tlsName: {
    kind: 'text',
    placeholder: 'NAME',
    description: "Name that the node's certificate must have.",
    defaultText: 'the host of the URL',
    pattern: { regex: /^[A-Za-z0-9]([A-Za-z0-9.-]{0,252})$/, allowed: 'a host name' },
  },
} as const satisfies OptionTable

export type NodeTls = OptionValues<typeof TLS_OPTIONS>

/** What a connection is made with. @throws IntermixError INVALID_SETTING that names all problems with the files */
export async function connectionOptions(tls: NodeTls, io: Pick<CommandIo, 'readFile'>): Promise<ConnectionOptions> {
  const problems: string[] = []
  const read = async (flag: string, path: string | undefined, check: (pem: string) => unknown) => {
    if (path === undefined) return undefined
    try {
      const pem = await io.readFile(path)
      check(pem)
      return pem
    } catch (caught) {
      problems.push(`${flag}: ${path} cannot be used: ${messageOf(caught)}`)
      return undefined
    }
  }
  const [ca, cert, key] = [
    await read('--tls-ca', tls.tlsCa, readCertificates),
    await read('--tls-cert', tls.tlsCert, readCertificates),
    await read('--tls-key', tls.tlsKey, readPrivateKey),
  ]
  problems.push(...missingHalf('--tls', tls.tlsCert, tls.tlsKey))
  if (cert !== undefined && key !== undefined && !isKeyOf(key, cert))
    problems.push(`--tls-key: ${tls.tlsKey} is not the key of the first certificate in ${tls.tlsCert}`)
  if (problems.length > 0) throw new IntermixError('INVALID_SETTING', problems.join('\n'))
  return {
    minVersion: 'TLSv1.2',
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(tls.tlsName !== undefined && { servername: tls.tlsName }),
  }
}

interface Sent {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  readonly signal: AbortSignal
}

/** Asks over HTTPS, as `fetch` cannot with authorities and certificates from files. Rejects with what the connection says. */
export async function fetchOverTls(
  url: string,
  { method, headers, body, signal }: Sent,
  options: ConnectionOptions,
): Promise<{ readonly status: number; readonly text: string }> {
  return await new Promise((resolve, reject) => {
    const sent = https().request(url, { ...options, method, headers, signal, agent: false }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }))
      response.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const UNTRUSTED =
  /^(UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(_LOCALLY)?)|(DEPTH_ZERO_)?SELF_SIGNED_CERT.*|CERT_SIGNATURE_FAILURE)$/
/** In messages: of some of them the code says only EPROTO. */
const NO_TLS = /wrong version number|packet length too long/i
const REFUSED = /\balert\b/i

interface TlsError extends NodeJS.ErrnoException {
  readonly cert?: { readonly subjectaltname?: string }
}

/** What went wrong with TLS, in words; `undefined` where it was something else. */
export function tlsFailure(error: TlsError, { tlsCa, tlsCert }: NodeTls): string | undefined {
  const { code = '', message, cert } = error
  if (UNTRUSTED.test(code)) {
    const known = tlsCa === undefined ? 'that is trusted here; --tls-ca says whom to trust' : `in ${tlsCa} (--tls-ca)`
    return `its certificate is of no authority ${known}`
  }
  if (code === 'CERT_HAS_EXPIRED') return 'its certificate has expired'
  if (code === 'CERT_NOT_YET_VALID') return 'its certificate is not valid yet: is the clock right?'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `its certificate is for ${cert?.subjectaltname ?? 'other names'} only; --tls-name says which it must have`
  if (NO_TLS.test(message)) return 'it speaks no TLS: is it an http URL?'
  if (REFUSED.test(message) && tlsCert === undefined)
    return 'it wants a client certificate: give --tls-cert and --tls-key'
  // Node as a server says nothing as it ends the connection.
  if (tlsCert !== undefined && (REFUSED.test(message) || code === 'ECONNRESET'))
    return `it ended the connection; it may not take the certificate in ${tlsCert} (--tls-cert)`
  return undefined
}
