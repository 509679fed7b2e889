// Node's own HTTP server, over TLS where a listener has it.

import type { RequestListener, Server, ServerOptions } from 'node:http'
import { http, https } from '../kernel/late-modules.ts'
import type { TlsListener } from './tls-listener.ts'

/** The event by which such a server tells of a connection: over TLS, of one whose handshake is over. */
export const connectionEvent = (tls: TlsListener | undefined) => (tls === undefined ? 'connection' : 'secureConnection')

/** Creates a server for HTTP/1.1. `tls` is to be started before it listens. */
export function createHttpOver(
  tls: TlsListener | undefined,
  options: ServerOptions,
  onRequest?: RequestListener,
): Server {
  if (tls === undefined) return http().createServer(options, onRequest)
  const server = https().createServer({ ...options, ...tls.serverOptions, ALPNProtocols: ['http/1.1'] }, onRequest)
  tls.attach(server)
  return server
}
