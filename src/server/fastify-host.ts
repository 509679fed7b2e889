// Routes on Fastify, which is the HTTP framework of nodes.

import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { sendAnswer } from '../kernel/http-answer.ts'
import { http } from '../kernel/late-modules.ts'
import { replyWith, WITHOUT_SCHEMAS } from '../observe/fastify-app.ts'
import { CHECK_PATH } from './check-route.ts'
import { callerError } from './failure-log.ts'
import { AUTHZ_PATH, isAuthzUrl } from './forwarded-request.ts'
import { answerBy, type HostedRoutes, type HttpHost, routeFinder } from './http-host.ts'
import type { HttpRoute } from './http-route.ts'
import { errorAnswer } from './json-error.ts'

/**
 * Has Fastify lead requests to routes, but for POST /v1/check to the letter, which goes to its route at once: router, hooks and
 * replies of a framework cost more than the answer does.
 */
export function fastifyHost(given: HostedRoutes): HttpHost {
  const { server, routes, onError } = given
  const find = routeFinder(routes)
  const answer = (route: HttpRoute, request: FastifyRequest, reply: FastifyReply) =>
    answerBy(route, request.raw, request.originalUrl, given, (answered) => replyWith(reply, answered))
  // What Fastify's router does not know: in the same words as without it.
  const answerOther = (request: FastifyRequest, reply: FastifyReply) => {
    const found = find(request.method, request.originalUrl)
    if ('status' in found) replyWith(reply, found)
    else answer(found, request, reply)
  }
  const app = fastify({
    schemaController: WITHOUT_SCHEMAS,
    serverFactory: () => server,
    // The server has its own.
    clientErrorHandler: () => {},
    // No router decodes, refuses or normalises a path that is the client's; the route reads the original.
    rewriteUrl: ({ url = '/' }) => (isAuthzUrl(url) ? AUTHZ_PATH : url),
    frameworkErrors: (_error, request, reply) => answerOther(request, reply),
  })
  app.setNotFoundHandler(answerOther)
  app.setErrorHandler((caught, request, reply) => {
    onError(caught, request.socket.remoteAddress, `${request.method} ${request.routeOptions.url ?? ''}`)
    replyWith(reply, errorAnswer(callerError(caught)))
  })
  const methods = takeAllMethods(app)
  for (const route of routes) {
    const handler = (request: FastifyRequest, reply: FastifyReply) => answer(route, request, reply)
    app.route({ method: route.method === 'any' ? methods : route.method, url: route.path, handler })
  }
  const check = routes.find(({ path }) => path === CHECK_PATH)
  return {
    handle(request, response) {
      if (check === undefined || request.url !== CHECK_PATH || request.method !== check.method)
        return app.routing(request, response)
      answerBy(check, request, CHECK_PATH, given, (answered) => sendAnswer(response, answered))
    },
    async ready() {
      await app.ready()
    },
    close: async () => await app.close(),
  }
}

/**
 * Makes Fastify take every method, since Envoy sends the original one to forward-auth, whatever it is, and leave bodies to routes:
 * it would refuse those whose content type it cannot read, and here a content type says nothing. @returns the methods
 */
function takeAllMethods(app: FastifyInstance): string[] {
  const methods = http().METHODS.filter((method) => method !== 'CONNECT')
  for (const method of methods) app.addHttpMethod(method, { hasBody: false, overrideExisting: true })
  return methods
}
