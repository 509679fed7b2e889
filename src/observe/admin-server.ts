// The admin server: on a port of its own so that traffic cannot starve it and callers cannot reach it.

import type { Server } from 'node:http'
import type { AdminServerOptions } from './admin-routes.ts'

export interface AdminServer {
  /** Listens; port 0 takes a free one. @returns the address as `host:port`. Rejects when the port is taken, or files for TLS cannot be used. */
  listen(address: { readonly host: string; readonly port: number }): Promise<string>
  /** Ends open connections; safe without `listen` and safe twice. */
  close(): Promise<void>
}

export type CreateAdminServer = (options: AdminServerOptions) => AdminServer

/** How long a request may take to come. */
export const ADMIN_REQUEST_MS = 10_000

/** @returns where a server listens, as `host:port` */
export function boundAddress(server: Server): string {
  const bound = server.address()
  if (bound === null || typeof bound === 'string') return bound ?? ''
  return bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`
}
