// The HTTP server: the API for programs and forward-auth, on Fastify.

import { METHODS } from 'node:http'
import { fastify, type FastifyInstance } from 'fastify'
import { IntermixError } from '../kernel/errors.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import { DEFAULT_LIMITS } from '../kernel/request-limits.ts'
import type { Admission } from './admission.ts'
import { authzRewrite, authzRoute } from './authz-route.ts'
import { checkRoute } from './check-route.ts'
import { callerError, createFailureLog } from './failure-log.ts'
import { AUTHZ_PATH } from './forwarded-request.ts'
import type { ListenAddress } from './grpc-server.ts'
import { requestGate } from './http-admission.ts'
import { hookHttpServer } from './http-connections.ts'
import type { DoorDependencies } from './door-dependencies.ts'
import { parseJsonBody } from './json-body.ts'
import { sendError } from './json-error.ts'
import { createRefusals } from './refusals.ts'
import { reportRoute } from './report-route.ts'
import { trustedPeers } from './trusted-peers.ts'
import { refuseUnreadable } from './unreadable-request.ts'

export interface HttpServerOptions extends DoorDependencies {
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
  const { clock, admission, maxHeaderBytes = 128 * KIB, limits = DEFAULT_LIMITS } = options
  const refused = createRefusals({ ...options, door: 'http' })
  const app = fastify({
    http: { maxHeaderSize: maxHeaderBytes },
    clientErrorHandler: (error, socket) => refuseUnreadable(error, socket, maxHeaderBytes, refused),
    bodyLimit: options.maxBodyBytes ?? 4 * MIB,
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
  answerErrors(app, createFailureLog(options), refused)
  const isTrusted = trustedPeers(options.trustForwarded)
  const given = { ...options, limits }
  const routes = [checkRoute(given), reportRoute(given), authzRoute({ ...given, isTrusted })]
  for (const route of routes) {
    app.register(async (scope) => route(scope))
  }
  const connections = hookHttpServer(app.server, requestGate(admission, options.defaultTimeoutMs))
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
      await app.listen(address)
      const bound = app.server.address()
      return bound === null || typeof bound === 'string' ? address.port : bound.port
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
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      const { maxBytes = Number.POSITIVE_INFINITY, uniqueNames = false } = request.routeOptions.config
      if (body.length > maxBytes) throw tooLarge(maxBytes)
      done(null, parseJsonBody(bufferOf(body), { uniqueNames }))
    } catch (caught) {
      done(callerError(caught))
    }
  })
}

function tooLarge(maxBytes: number): RefusedRequest {
  const message = `the body has more than ${maxBytes} bytes; send fewer attributes`
  return new RefusedRequest('too-large', message, 'raise --max-attribute-bytes')
}

/** With `parseAs: 'buffer'` it is one already. */
function bufferOf(body: string | Buffer): Buffer {
  return typeof body === 'string' ? Buffer.from(body) : body
}

function notFound(path: string): IntermixError {
  if (path === '/v1/revocations' || path === '/v1/explain') {
    return new IntermixError('NOT_FOUND', `POST ${path} is served at the admin port (--admin-address, 127.0.0.1:15014)`)
  }
  return new IntermixError(
    'NOT_FOUND',
    `nothing is served at ${path}; see POST /v1/check, POST /v1/report, ${AUTHZ_PATH}`,
  )
}

function answerErrors(
  app: FastifyInstance,
  logFailure: (caught: unknown, message: string) => void,
  refused: (error: IntermixError, peer: string | undefined) => void,
): void {
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '/'
    const allowed = METHODS.filter(
      (method) => app.supportedMethods.includes(method) && app.hasRoute({ method, url: path }),
    )
    if (allowed.length === 0) return sendError(reply, notFound(path))
    reply.header('allow', allowed.join(', '))
    return sendError(
      reply,
      new IntermixError('INVALID_REQUEST', `${path} takes ${allowed.join(', ')}, not ${request.method}`),
      405,
    )
  })
  app.setErrorHandler((caught, request, reply) => {
    const status = (caught as { statusCode?: number }).statusCode
    if (!(caught instanceof IntermixError) && status !== undefined && status < 500) {
      return sendError(reply, new IntermixError('INVALID_REQUEST', (caught as Error).message), status)
    }
    const error = callerError(caught)
    refused(error, request.socket.remoteAddress)
    if (error.code === 'INTERNAL') logFailure(caught, `${request.method} ${request.routeOptions.url ?? ''} failed`)
    return sendError(reply, error)
  })
}
