// The HTTP server: the API for programs and forward-auth.

import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { KEEP_ALIVE_MS } from '../kernel/http-answer.ts'
import { DEFAULT_LIMITS } from '../kernel/request-limits.ts'
import type { Admission } from './admission.ts'
import { authzRoute } from './authz-route.ts'
import { CheckDoor } from './check-route.ts'
import { createFailureLog } from './failure-log.ts'
import type { ListenAddress } from './grpc-server.ts'
import { listen } from './listen.ts'
import { requestGate } from './http-admission.ts'
import { hookHttpServer } from './http-connections.ts'
import { errorListener } from './http-errors.ts'
import type { CreateHttpHost } from './http-host.ts'
import type { HttpDoorDependencies } from './http-route.ts'
import { quotaRoute } from './quota-route.ts'
import { createRefusals } from './refusals.ts'
import { reportRoute } from './report-route.ts'
import { connectionEvent, createHttpOver } from '../tls/http-over.ts'
import type { TlsFiles } from '../tls/tls-files.ts'
import { TlsListener } from '../tls/tls-listener.ts'
import { trustedPeers } from './trusted-peers.ts'
import { refuseUnreadable } from './unreadable-request.ts'

export interface HttpServerOptions extends HttpDoorDependencies {
  /** Decides who is let in. */
  readonly admission: Admission
  /** Proxies whose X-Forwarded-* headers are believed, as CIDR ranges. Default: loopback and private networks. */
  readonly trustForwarded?: readonly string[]
  /** Largest body taken. Default 4 MiB. */
  readonly maxBodyBytes?: number
  /** Largest request line and headers taken. Default 128 KiB: twice what Envoy passes by default. */
  readonly maxHeaderBytes?: number
  /** Default: without TLS. */
  readonly tls?: TlsFiles | undefined
}

export interface HttpServer {
  readonly server: Server
  /** Listens; port 0 takes a free one. @returns the port. Rejects where the address is taken, or files for TLS cannot be used. */
  listen(address: ListenAddress): Promise<number>
  /**
   * Takes no more connections and waits for requests under way; what is left after `deadlineMs` is cut off. Connections
   * without a request are closed at once, those with a part of one, or of a handshake, after a moment. Safe without `listen` and
   * safe twice.
   */
  drain(deadlineMs: number): Promise<void>
}

const KIB = 1024
const MIB = 1024 * KIB
/** How long a request may take to come. */
const REQUEST_MS = 30_000
/** How long peers may take to send the rest of a request when the server begins to drain. */
const LINGER_MS = 100

/**
 * @param createHost what leads requests to routes
 * @throws IntermixError INVALID_SETTING where `trustForwarded` holds something else than ranges.
 */
export function createHttpServer(options: HttpServerOptions, createHost: CreateHttpHost): HttpServer {
  const { clock, admission, maxHeaderBytes = 128 * KIB, maxBodyBytes = 4 * MIB, limits = DEFAULT_LIMITS } = options
  const refused = createRefusals({ ...options, door: 'http' })
  const tls = options.tls && new TlsListener({ ...options, listener: 'http', files: options.tls })
  const server = createHttpOver(tls, {
    maxHeaderSize: maxHeaderBytes,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  })
  server.on('clientError', (error, socket) => refuseUnreadable(error, socket as Socket, maxHeaderBytes, refused))
  // Node's own bound drops what is beyond it, and a header that is dropped is one that no rule sees.
  server.maxHeadersCount = 0
  const onError = errorListener(createFailureLog(options), refused)
  const isTrusted = trustedPeers(options.trustForwarded)
  const given = { ...options, limits }
  const routes = [
    new CheckDoor(given, onError),
    quotaRoute(given),
    reportRoute(given),
    authzRoute({ ...given, isTrusted }),
  ]
  const gate = requestGate(admission, options.defaultTimeoutMs)
  const host = createHost({ server, routes, maxBodyBytes, onError })
  const connections = hookHttpServer(server, connectionEvent(tls), gate, host.handle)
  let drained: Promise<void> | undefined
  const close = async (deadlineMs: number): Promise<void> => {
    tls?.stop()
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    // What has reached the sockets by now is still read.
    setImmediate(() => connections.closeIdle())
    const cancelLinger = clock.after(LINGER_MS, () => {
      tls?.endHandshakes()
      connections.closeIncomplete()
    })
    const cancelDeadline = clock.after(deadlineMs, () => {
      tls?.endHandshakes()
      server.closeAllConnections()
    })
    await closed
    cancelLinger()
    cancelDeadline()
    await host.close()
  }
  return {
    server,
    async listen(address) {
      await host.ready()
      await tls?.start()
      return await listen(server, address)
    },
    drain(deadlineMs) {
      drained ??= close(deadlineMs)
      return drained
    },
  }
}
