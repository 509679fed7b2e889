// What leads requests of the HTTP server to its routes: Fastify in a node, Node's own server in a sidecar, which must stay
// small. Which route a request is for, how its body is read and what errors look like is the same in both.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { IntermixError } from '../kernel/errors.ts'
import { type HttpAnswer, pathOf, receiveBody } from '../kernel/http-answer.ts'
import { callerError } from './failure-log.ts'
import { AUTHZ_PATH, isAuthzUrl } from './forwarded-request.ts'
import type { ErrorListener } from './http-errors.ts'
import type { HttpCall, HttpRoute } from './http-route.ts'
import { errorAnswer } from './json-error.ts'

export interface HostedRoutes {
  /** Made already; requests come to `HttpHost.handle` and not by its events. */
  readonly server: Server
  readonly routes: readonly HttpRoute[]
  readonly maxBodyBytes: number
  /** Hears of what routes throw. */
  readonly onError: ErrorListener
}

export interface HttpHost {
  /** Answers a request that was let in. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void
  /** To be awaited before the first request. */
  ready(): Promise<void>
  /** For when the server is closed. */
  close(): Promise<void>
}

export type CreateHttpHost = (given: HostedRoutes) => HttpHost

const NO_BODY = Buffer.alloc(0)

/** Reads the body of a request where its route wants one, and sends what the route answers. @param url the target as it was sent */
export function answerBy(
  route: HttpRoute,
  message: IncomingMessage,
  url: string,
  { maxBodyBytes, onError }: Pick<HostedRoutes, 'maxBodyBytes' | 'onError'>,
  send: (answer: HttpAnswer) => void,
): void {
  const answer = (body: Buffer) => {
    const call: HttpCall = { message, url, peer: message.socket.remoteAddress, body }
    const fail = (caught: unknown) => {
      onError(caught, call.peer, `${message.method} ${route.path}`)
      send(errorAnswer(callerError(caught)))
    }
    try {
      const answered = route.answer(call)
      if (answered instanceof Promise) answered.then(send).catch(fail)
      else send(answered)
    } catch (caught) {
      fail(caught)
    }
  }
  if (route.method === 'any') {
    message.resume()
    return answer(NO_BODY)
  }
  receiveBody(message, maxBodyBytes, (body) => {
    if (body === undefined) send(TOO_LARGE)
    else answer(body)
  })
}

const TOO_LARGE = errorAnswer(new IntermixError('INVALID_REQUEST', 'the body is too large'), 413)

/** Finds the route of a request by its path, to the letter, or says why there is none. */
export function routeFinder(routes: readonly HttpRoute[]) {
  const byPath = new Map(routes.map((route) => [route.path, route]))
  return (method: string | undefined, url: string): HttpRoute | HttpAnswer => {
    // All below is the client's path: nothing of it is decoded, refused or made another.
    const path = isAuthzUrl(url) ? AUTHZ_PATH : pathOf(url)
    if (path === undefined)
      return errorAnswer(new IntermixError('INVALID_REQUEST', `${url} is not a valid URL: an escape in it is none`))
    const route = byPath.get(path)
    if (route === undefined) return errorAnswer(notFound(path))
    if (route.method === 'any' || route.method === method) return route
    const error = new IntermixError('INVALID_REQUEST', `${path} takes ${route.method}, not ${method}`)
    const { headers, ...refusal } = errorAnswer(error, 405)
    return { ...refusal, headers: [...headers, 'allow', route.method] }
  }
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
