// Where a server listens: at an address, or at a Unix socket, of which a process that was killed may have left the file.

import { once } from 'node:events'
import { connect, type Server } from 'node:net'
import { unbracketed } from '../kernel/ip-address.ts'
import { files } from '../kernel/late-modules.ts'
import type { ListenAddress } from './grpc-server.ts'

/** Connections that the kernel holds ready: a fleet of proxies connects at once when a node comes back. */
const BACKLOG = 4_096

/**
 * Listens: a socket's file that nobody listens at any more is removed before, and a new one gets its mode.
 * @returns the port; 0 at a Unix socket. Rejects where the address is taken.
 */
export async function listen(server: Server, { host, port, path, mode }: ListenAddress): Promise<number> {
  if (path !== undefined && (await isLeftOver(path))) await files().unlink(path)
  server.listen({ ...(path === undefined ? { host: unbracketed(host), port } : { path }), backlog: BACKLOG })
  await once(server, 'listening')
  const address = server.address()
  if (path !== undefined && mode !== undefined) await files().chmod(path, mode)
  return address === null || typeof address === 'string' ? 0 : address.port
}

/** Whether the file of a socket is there and nobody listens. Other files refuse connections too, and are not ours to remove. */
async function isLeftOver(path: string): Promise<boolean> {
  const file = await files()
    .lstat(path)
    .catch(() => undefined)
  if (file?.isSocket() !== true) return false
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return false
  } catch (refused) {
    return refused instanceof Error && 'code' in refused && refused.code === 'ECONNREFUSED'
  } finally {
    socket.destroy()
  }
}
