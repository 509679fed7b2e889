// The HTTP server: the API for programs and forward-auth, on Fastify.

import { fastify, type FastifyInstance } from 'fastify'
import { IntermixError } from '../kernel/errors.ts'
import { DEFAULT_LIMITS } from '../kernel/request-limits.ts'
import { WITHOUT_SCHEMAS } from '../observe/without-schemas.ts'
import type { Admission } from './admission.ts'
import { authzRewrite, authzRoute } from './authz-route.ts'
import { CheckDoor, checkRoute } from './check-route.ts'
import { directCheck } from './direct-check.ts'
import { callerError, createFailureLog } from './failure-log.ts'
import type { ListenAddress } from './grpc-server.ts'
import { BACKLOG, listenAt } from './listen.ts'
import { requestGate } from './http-admission.ts'
import { hookHttpServer } from './http-connections.ts'
import { answerErrors, errorListener } from './http-errors.ts'
import type { HttpDoorDependencies } from './http-route.ts'
import { parseJsonBody } from './json-body.ts'
import { sendError } from './json-error.ts'
import { quotaRoute } from './quota-route.ts'
import { createRefusals } from './refusals.ts'
import { reportRoute } from './report-route.ts'
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
}

export interface HttpServer {
  readonly app: FastifyInstance
  /** Listens; port 0 takes a free one. @returns the port. Rejects where the address is taken. */
  listen(address: ListenAddress): Promise<number>
  /**
   * Takes no more connections and waits for requests under way; what is left after `deadlineMs` is cut off. Connections
   * without a request are closed at once, those with a part of one after a moment. Safe without `listen` and safe twice.
   */
  drain(deadlineMs: number): Promise<void>
}

const KIB = 1024
const MIB = 1024 * KIB
/** How long peers may take to send the rest of a request when the server begins to drain. */
const LINGER_MS = 100

/** @throws IntermixError INVALID_SETTING where `trustForwarded` holds something else than ranges. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const { clock, admission, maxHeaderBytes = 128 * KIB, maxBodyBytes = 4 * MIB, limits = DEFAULT_LIMITS } = options
  const refused = createRefusals({ ...options, door: 'http' })
  const app = fastify({
    schemaController: WITHOUT_SCHEMAS,
    http: { maxHeaderSize: maxHeaderBytes },
    clientErrorHandler: (error, socket) => refuseUnreadable(error, socket, maxHeaderBytes, refused),
    bodyLimit: maxBodyBytes,
    requestTimeout: 30_000,
    forceCloseConnections: 'idle',
    rewriteUrl: (request) => authzRewrite(request.url ?? '/'),
    frameworkErrors(caught, _request, reply) {
      sendError(reply, new IntermixError('INVALID_REQUEST', caught.message), caught.statusCode ?? 400)
    },
  })
  // Node's own bound drops what is beyond it, and a header that is dropped is one that no rule sees.
  app.server.maxHeadersCount = 0
  readJson(app)
  const onError = errorListener(createFailureLog(options), refused)
  answerErrors(app, onError)
  const isTrusted = trustedPeers(options.trustForwarded)
  const given = { ...options, limits }
  const checks = new CheckDoor(given, onError)
  const routes = [checkRoute(checks), quotaRoute(given), reportRoute(given), authzRoute({ ...given, isTrusted })]
  for (const route of routes) {
    app.register(async (scope) => route(scope))
  }
  const gate = requestGate(admission, options.defaultTimeoutMs)
  const connections = hookHttpServer(app.server, gate, directCheck(checks, maxBodyBytes))
  let drained: Promise<void> | undefined
  const close = async (deadlineMs: number): Promise<void> => {
    const closed = app.close()
    // What has reached the sockets by now is still read.
    setImmediate(() => connections.closeIdle())
    const cancelLinger = clock.after(LINGER_MS, () => connections.closeIncomplete())
    const cancelDeadline = clock.after(deadlineMs, () => app.server.closeAllConnections())
    await closed
    cancelLinger()
    cancelDeadline()
  }
  return {
    app,
    async listen(address) {
      const { host, port, path } = address
      return await listenAt(address, async () => {
        await app.listen({ ...(path === undefined ? { host, port } : { path }), backlog: BACKLOG })
        return app.server
      })
    },
    drain(deadlineMs) {
      drained ??= close(deadlineMs)
      return drained
    },
  }
}

/** Every body of the API is JSON, whatever its content type says. */
function readJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseJsonBody(bufferOf(body), { uniqueNames: false }))
    } catch (caught) {
      done(callerError(caught))
    }
  })
}

/** With `parseAs: 'buffer'` it is one already. */
function bufferOf(body: string | Buffer): Buffer {
  return typeof body === 'string' ? Buffer.from(body) : body
}
