// From a request of HTTP/1.1 to its route and back.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { IntermixError } from '../kernel/errors.ts'
import { type HttpAnswer, pathOf, receiveBody, sendAnswer } from '../kernel/http-answer.ts'
import { callerError } from './failure-log.ts'
import { AUTHZ_PATH, isAuthzUrl } from './forwarded-request.ts'
import type { ErrorListener } from './http-errors.ts'
import type { HttpCall, HttpRoute } from './http-route.ts'
import { errorAnswer } from './json-error.ts'

type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

const NO_BODY = Buffer.alloc(0)

/** Leads requests to routes by their paths, to the letter. @param onError hears of what routes throw */
export function httpRouter(routes: readonly HttpRoute[], maxBodyBytes: number, onError: ErrorListener): RequestHandler {
  const byPath = new Map(routes.map((route) => [route.path, route]))
  const answer = (route: HttpRoute, message: IncomingMessage, response: ServerResponse, body: Buffer) => {
    const { url = '/', socket } = message
    const call: HttpCall = { message, url, peer: socket.remoteAddress, body }
    const fail = (caught: unknown) => {
      onError(caught, call.peer, `${message.method} ${route.path}`)
      sendAnswer(response, errorAnswer(callerError(caught)))
    }
    try {
      const answered = route.answer(call)
      if (answered instanceof Promise) answered.then((later) => sendAnswer(response, later)).catch(fail)
      else sendAnswer(response, answered)
    } catch (caught) {
      fail(caught)
    }
  }
  return (request, response) => {
    const found = find(byPath, request)
    if ('status' in found) return sendAnswer(response, found)
    if (found.method === 'any') {
      request.resume()
      return answer(found, request, response, NO_BODY)
    }
    receiveBody(request, maxBodyBytes, (body) => {
      if (body === undefined) sendAnswer(response, TOO_LARGE)
      else answer(found, request, response, body)
    })
  }
}

const TOO_LARGE = errorAnswer(new IntermixError('INVALID_REQUEST', 'the body is too large'), 413)

/** The route of a request, or why there is none. */
function find(routes: ReadonlyMap<string, HttpRoute>, { url = '/', method }: IncomingMessage): HttpRoute | HttpAnswer {
  // All below is the client's path: nothing of it is decoded, refused or made another.
  const path = isAuthzUrl(url) ? AUTHZ_PATH : pathOf(url)
  if (path === undefined)
    return errorAnswer(new IntermixError('INVALID_REQUEST', `${url} is not a valid URL: an escape in it is none`))
  const route = routes.get(path)
  if (route === undefined) return errorAnswer(notFound(path))
  if (route.method === 'any' || route.method === method) return route
  const error = new IntermixError('INVALID_REQUEST', `${path} takes ${route.method}, not ${method}`)
  const { headers, ...refusal } = errorAnswer(error, 405)
  return { ...refusal, headers: [...headers, 'allow', route.method] }
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
