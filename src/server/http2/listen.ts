// Listens at an address or at a Unix socket, where a process that was killed may have left its file.

import { once } from 'node:events'
import { lstat, unlink } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import type { ListenAddress } from '../grpc-server.ts'

/** Connections that the kernel holds ready: a fleet of proxies connects at once when a node comes back. */
const BACKLOG = 4_096

/** @returns the port; 0 at a Unix socket. Rejects where the address is taken. */
export async function listen(server: Server, { host, port, path }: ListenAddress): Promise<number> {
  if (path === undefined) {
    await listening(server, { host: unbracketed(host), port })
  } else {
    try {
      await listening(server, { path })
    } catch (caught) {
      if (!(await isLeftOver(path, caught))) throw caught
      await unlink(path)
      await listening(server, { path })
    }
  }
  const address = server.address()
  return address === null || typeof address === 'string' ? 0 : address.port
}

async function listening(server: Server, where: { host: string; port: number } | { path: string }): Promise<void> {
  server.listen({ ...where, backlog: BACKLOG })
  await once(server, 'listening')
}

/** Whether the file of a socket is there and nobody listens. Other files refuse connections too, and are not ours to remove. */
async function isLeftOver(path: string, caught: unknown): Promise<boolean> {
  if (!(caught instanceof Error && 'code' in caught && caught.code === 'EADDRINUSE')) return false
  if (!(await lstat(path)).isSocket()) return false
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

function unbracketed(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host
}
