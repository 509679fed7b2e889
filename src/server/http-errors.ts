// What the HTTP server does with errors, whichever way a request came: tells the operator, and answers in the form of the API.

import type { FastifyInstance } from 'fastify'
import { IntermixError } from '../kernel/errors.ts'
import { callerError } from './failure-log.ts'
import { AUTHZ_PATH } from './forwarded-request.ts'
import { sendError } from './json-error.ts'

/** Hears of what kept a request from being answered; `request` says what it was. */
export type ErrorListener = (caught: unknown, peer: string | undefined, request: string) => void

/** Counts what was refused for what it is, and logs failures of our own. */
export function errorListener(
  logFailure: (caught: unknown, message: string) => void,
  refused: (error: IntermixError, peer: string | undefined) => void,
): ErrorListener {
  return (caught, peer, request) => {
    const error = callerError(caught)
    refused(error, peer)
    if (error.code === 'INTERNAL') logFailure(caught, `${request} failed`)
  }
}

/** Answers all that goes wrong in routes, and what there is no route for. */
export function answerErrors(app: FastifyInstance, onError: ErrorListener): void {
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '/'
    const allowed = app.supportedMethods.filter((method) => app.hasRoute({ method, url: path }))
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
    onError(caught, request.socket.remoteAddress, `${request.method} ${request.routeOptions.url ?? ''}`)
    return sendError(reply, callerError(caught))
  })
}

function notFound(path: string): IntermixError {
  if (path === '/v1/revocations' || path === '/v1/explain') {
    return new IntermixError('NOT_FOUND', `POST ${path} is served at the admin port (--admin-address, 127.0.0.1:15014)`)
  }
  return new IntermixError(
    'NOT_FOUND',
    `nothing is served at ${path}; see POST /v1/check, POST /v1/quota, POST /v1/report, ${AUTHZ_PATH}`,
  )
}
