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
