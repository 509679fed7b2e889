// Where a node is, and how it is connected to.

import { connect as connectSocket, type Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { tls as tlsModule } from '../../kernel/late-modules.ts'

/** Where a node is: a socket's path, or a host and a port. */
export type NodeAddress =
  | { readonly path: string }
  | { readonly host: string; readonly port: number; readonly tls?: ConnectionOptions }

/** A socket that is being connected; by TLS it asks for HTTP/2. @throws Error where certificates do not belong together */
export function socketTo(address: NodeAddress): Socket {
  if ('path' in address) return connectSocket({ path: address.path })
  const { host, port, tls } = address
  const socket =
    tls === undefined
      ? connectSocket({ host, port })
      : tlsModule().connect({ host, port, ALPNProtocols: ['h2'], ...tls })
  socket.setNoDelay(true)
  return socket
}
