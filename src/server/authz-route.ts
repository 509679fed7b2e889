// ANY /v1/authz…: forward-auth for nginx, Caddy, Traefik, HAProxy and Envoy's HTTP service.

import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Vocabulary } from '../kernel/attribute-bag.ts'
import type { IntermixError } from '../kernel/errors.ts'
import type { CheckOutcome } from '../kernel/services.ts'
import { httpStatusOf } from '../kernel/status.ts'
import { isJoinable, separatorOf } from '../kernel/header-field.ts'
import { type HeaderOperation, headerChanges, isRemovable } from '../kernel/header-operation.ts'
import type { Answer } from '../kernel/verdict.ts'
import { denialOf } from '../kernel/denial.ts'
import { httpRequestBag } from '../wire/http-request.ts'
import { readSetAttributes } from '../wire/set-attributes.ts'
import { createDoorMetrics } from './door-metrics.ts'
import { cacheControlOf, NOT_KEPT } from './cache-control.ts'
import { callerError, createFailureLog } from './failure-log.ts'
import { AUTHZ_PATH, type ForwardedRequest, isAuthzUrl, operatorParams, readForwarded } from './forwarded-request.ts'
import { httpHeaderValue, isCopyableHeader } from '../kernel/header-value.ts'
import { createRefusals } from './refusals.ts'
import type { Route, RouteDependencies } from './http-route.ts'

interface AuthzOptions extends RouteDependencies {
  readonly isTrusted: (address: string | undefined) => boolean
}

/**
 * Allows with 200 exactly, denies with the denial's own status (or always 403 with `?deny=403`, since nginx makes a 500
 * of all but 401 and 403), and answers 503 where the node itself has failed, which proxies can let pass if they are told.
 *
 * The server must hand every path below `/v1/authz` to this one route: see `authzRewrite`.
 */
export function authzRoute(options: AuthzOptions): Route {
  const { check, clock, meter, isTrusted, limits, defaultTimeoutMs } = options
  const metrics = createDoorMetrics({ meter, clock, door: 'forward_auth' })
  const logFailure = createFailureLog(options)
  const refused = createRefusals({ ...options, door: 'forward_auth' })
  return (app) => {
    ignoreBodies(app)
    app.route({
      method: allowAllMethods(app),
      url: AUTHZ_PATH,
      handler: (request, reply) => {
        const startedAt = clock.monotonic()
        const { raw: message, originalUrl: url } = request
        const peer = message.socket.remoteAddress
        const params = operatorParams(url)
        const always403 = params?.get('deny') === '403'
        const finish = ({ answer }: CheckOutcome) => {
          metrics.finished(answer.status.code, startedAt)
          return answer.status.code === 0 ? sendAllowed(reply, answer) : sendDenied(reply, answer, always403)
        }
        const fail = (caught: unknown) => {
          const error = callerError(caught)
          if (error.code === 'INTERNAL' || error.code === 'INVALID_ATTRIBUTE')
            logFailure(caught, 'a forward-auth call failed')
          refused(error, peer)
          metrics.finished(error.status.code, startedAt)
          return sendFailed(reply, error, always403)
        }
        try {
          const { method, rawHeaders } = message
          const vocabulary = check.vocabulary()
          const call = {
            method,
            url,
            rawHeaders,
            peer,
            trusted: isTrusted(peer),
            maxFields: limits.maxMapEntries,
            params,
          }
          const forwarded = readForwarded(call, vocabulary)
          const set = operatorSet(forwarded, vocabulary)
          const outcome = check.check(httpRequestBag(forwarded, clock.now(), set), {
            timeoutMs: defaultTimeoutMs,
            references: false,
          })
          return outcome instanceof Promise ? outcome.then(finish).catch(fail) : finish(outcome)
        } catch (caught) {
          return fail(caught)
        }
      },
    })
  }
}

/** @throws IntermixError INVALID_ATTRIBUTE where a set attribute is not of its type */
function operatorSet({ attributes }: ForwardedRequest, vocabulary: Vocabulary) {
  return attributes.length === 0 ? undefined : readSetAttributes(attributes, vocabulary, 'attr parameters')
}

/**
 * Leads every URL below `/v1/authz` to the one route, so that no router decodes, refuses or normalises a path that is the
 * client's; the handler reads the original.
 */
export function authzRewrite(url: string): string {
  return isAuthzUrl(url) ? AUTHZ_PATH : url
}

function sendAllowed(reply: FastifyReply, answer: Answer): FastifyReply {
  describe(reply, answer, 200)
  reply.header('cache-control', cacheControlOf(answer))
  copyHeaders(reply, answer.responseHeaders)
  copyHeaders(reply, answer.requestHeaders)
  const removed = headerChanges(answer.requestHeaders).filter(
    ({ name, replaces, values }) => replaces && values.length === 0 && isRemovable(name) && isCopyableHeader(name),
  )
  if (removed.length > 0) reply.header('x-envoy-auth-headers-to-remove', removed.map(({ name }) => name).join(', '))
  return reply.code(200).send()
}

function sendDenied(reply: FastifyReply, answer: Answer, always403: boolean): FastifyReply {
  const denial = denialOf(answer)
  // Proxies take 2xx for "pass", so a handler that wants a 200 page shown cannot have its status here.
  const code = denial.httpStatus < 300 ? httpStatusOf(answer.status.code) : denial.httpStatus
  describe(reply, answer, code)
  reply.header('cache-control', NOT_KEPT)
  reply.type('text/plain; charset=utf-8')
  for (const [name, value] of denial.headers) if (isCopyableHeader(name)) reply.header(name, httpHeaderValue(value))
  copyHeaders(reply, answer.responseHeaders)
  return reply.code(always403 ? 403 : code).send(denial.body)
}

/** A call that is not valid is denied; whatever else fails is a failure of the node. */
function sendFailed(reply: FastifyReply, error: IntermixError, always403: boolean): FastifyReply {
  const code = error.code === 'INVALID_REQUEST' ? 400 : 503
  for (const name of STATUS_HEADERS) reply.header(name, code)
  reply.header('cache-control', NOT_KEPT)
  reply.type('text/plain; charset=utf-8')
  return reply.code(code === 400 && always403 ? 403 : code).send(error.message)
}

/** Our name, and the one that recipes for Mixer's successors use. */
const STATUS_HEADERS = ['x-intermix-status', 'x-mixer-status'] as const

function describe(reply: FastifyReply, answer: Answer, code: number): void {
  for (const name of STATUS_HEADERS) reply.header(name, code)
  reply.header('x-intermix-tier', answer.tier)
  reply.header('x-intermix-age-ms', answer.ageMs)
  reply.header('x-intermix-valid-for-ms', answer.validForMs)
}

/**
 * The proxy copies the headers that its config names to the request or the response, in place of what is there. One that
 * policy removes is not in the answer, and the proxy's config must not let the client's stand then.
 */
function copyHeaders(reply: FastifyReply, operations: readonly HeaderOperation[]): void {
  for (const { name, values } of headerChanges(operations)) {
    if (values.length === 0 || !isCopyableHeader(name)) continue
    const clean = values.map(httpHeaderValue)
    // The proxy has one line of it, as a rule: what may be joined is.
    const separator = separatorOf(name) === ',' ? ', ' : separatorOf(name)
    reply.header(name, isJoinable(name) ? clean.join(separator) : clean)
  }
}

/** A body is the client's: it is neither needed nor kept. */
function ignoreBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => {
    payload.resume()
    done(null)
  })
}

/** Not by an import: that asks for all that Node's module has, which loads WebSocket and fetch, 12 MB. */
const { METHODS } = process.getBuiltinModule('node:http')

/** Envoy sends the original method, whatever it is. */
function allowAllMethods(app: FastifyInstance): string[] {
  const methods = METHODS.filter((method) => method !== 'CONNECT')
  for (const method of methods) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: true })
  return methods
}
