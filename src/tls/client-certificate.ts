// What a client has proven by a certificate.

import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

/**
 * The certificate of a client, if it has shown one that an authority of the listener has signed. `authorized` alone proves nothing:
 * some versions of Node set it for a session of TLS 1.3 that is taken up again, also where no certificate was ever shown.
 */
export function certificateOf(socket: Socket): X509Certificate | undefined {
  const { encrypted, authorized, getPeerX509Certificate } = socket as Partial<TLSSocket>
  return encrypted === true && authorized === true ? getPeerX509Certificate?.call(socket as TLSSocket) : undefined
}

/** One name of many, with what it is; Node writes one that could be taken for several as a text of JSON. */
const NAME = /(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)/gy

/**
 * The SPIFFE ids (and other URIs) and DNS names of a certificate, as they stand in it; none where anything in its list of names
 * cannot be read.
 */
export function namesOf({ subjectAltName = '' }: Pick<X509Certificate, 'subjectAltName'>): readonly string[] {
  const names: string[] = []
  let read = 0
  for (const [all, type, text = ''] of subjectAltName.matchAll(NAME)) {
    read += all.length
    if (type !== 'URI' && type !== 'DNS') continue
    const name = text.startsWith('"') ? unquoted(text) : text
    if (name === undefined) return []
    names.push(name)
  }
  return read === subjectAltName.length ? names : []
}

function unquoted(text: string): string | undefined {
  try {
    return JSON.parse(text) as string
  } catch {
    return undefined
  }
}

/** Whether a certificate has one of the names that are let in; `*` at the end of one stands for whatever follows. */
export function hasName(certificate: Pick<X509Certificate, 'subjectAltName'>, allowed: readonly string[]): boolean {
  const names = namesOf(certificate)
  return allowed.some((each) => {
    const begin = each.endsWith('*') ? each.slice(0, -1) : undefined
    return names.some((name) => (begin === undefined ? name === each : name.startsWith(begin)))
  })
}
