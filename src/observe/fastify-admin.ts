// The admin server of a node or worker: on Fastify.

import type { Server } from 'node:http'
import { fastify, type FastifyInstance } from 'fastify'
import { type HttpAnswer, KEEP_ALIVE_MS } from '../kernel/http-answer.ts'
import { unbracketed } from '../kernel/ip-address.ts'
import { createHttpOver } from '../tls/http-over.ts'
import {
  adminGate,
  adminRoutes,
  type AdminServerOptions,
  failure,
  nothingHere,
  refusal,
  tooLarge,
} from './admin-routes.ts'
import { ADMIN_REQUEST_MS, type AdminServer, boundAddress } from './admin-server.ts'
import { replyWith, WITHOUT_SCHEMAS } from './fastify-app.ts'

const TIMES = { requestTimeout: ADMIN_REQUEST_MS, keepAliveTimeout: KEEP_ALIVE_MS }

/** Creates the server; nothing is opened yet. */
export function createFastifyAdmin(options: AdminServerOptions): AdminServer {
  const { tls } = options
  const app = fastify<Server>({
    schemaController: WITHOUT_SCHEMAS,
    forceCloseConnections: true,
    serverFactory: (onRequest) => createHttpOver(tls, TIMES, onRequest),
    frameworkErrors: (_error, request, reply) => replyWith(reply, nothingHere(request.raw)),
  })
  const gate = adminGate(options)
  app.addHook('onRequest', (request, reply, done) => {
    const refused = gate(request.raw, request.routeOptions.url ?? '')
    if (refused === undefined) done()
    else replyWith(reply, refused)
  })
  app.setNotFoundHandler((request, reply) => replyWith(reply, nothingHere(request.raw)))
  app.setErrorHandler((caught, request, reply) => {
    replyWith(reply, ofFastify(caught) ?? failure(options, caught, request.url))
  })
  app.register(async (scope) => addRoutes(scope, options))
  return {
    async listen({ host, port }) {
      await tls?.start()
      await app.listen({ host: unbracketed(host), port })
      return boundAddress(app.server)
    },
    async close() {
      tls?.stop()
      tls?.endHandshakes()
      await app.close()
    },
  }
}

/** Answers what Fastify itself refuses. */
function ofFastify(caught: unknown): HttpAnswer | undefined {
  const { statusCode = 500, message } = caught as { readonly statusCode?: number; readonly message: string }
  if (statusCode === 413) return tooLarge()
  return statusCode < 500 ? refusal(message, statusCode) : undefined
}

/** In a scope of their own: whatever the content type of a body says, these routes read it themselves. */
function addRoutes(scope: FastifyInstance, options: AdminServerOptions): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  for (const route of adminRoutes(options)) {
    const { method, path, maxBodyBytes } = route
    scope.route<{ Params: { readonly name?: string } }>({
      method,
      url: path,
      bodyLimit: maxBodyBytes,
      async handler({ params: { name = '' }, body, url }, reply) {
        replyWith(reply, await route.answer({ name, url, body: Buffer.isBuffer(body) ? body : Buffer.alloc(0) }))
        return reply
      },
    })
  }
}
