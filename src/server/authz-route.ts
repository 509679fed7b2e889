// ANY /v1/authz…: forward-auth for nginx, Caddy, Traefik, HAProxy and Envoy's HTTP service.

import type { Vocabulary } from '../kernel/attribute-bag.ts'
import type { IntermixError } from '../kernel/errors.ts'
import type { CheckOutcome } from '../kernel/services.ts'
import { AnswerHeaders, type HttpAnswer } from '../kernel/http-answer.ts'
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
import { AUTHZ_PATH, type ForwardedRequest, operatorParams, readForwarded } from './forwarded-request.ts'
import { httpHeaderValue, isCopyableHeader } from '../kernel/header-value.ts'
import { createRefusals } from './refusals.ts'
import type { HttpRoute, RouteDependencies } from './http-route.ts'

interface AuthzOptions extends RouteDependencies {
  readonly isTrusted: (address: string | undefined) => boolean
}

/**
 * Allows with 200 exactly, denies with the denial's own status (or always 403 with `?deny=403`, since nginx makes a 500
 * of all but 401 and 403), and answers 503 where the node itself has failed, which proxies can let pass if they are told.
 */
export function authzRoute(options: AuthzOptions): HttpRoute {
  const { check, clock, meter, isTrusted, limits, defaultTimeoutMs } = options
  const metrics = createDoorMetrics({ meter, clock, door: 'forward_auth' })
  const logFailure = createFailureLog(options)
  const refused = createRefusals({ ...options, door: 'forward_auth' })
  return {
    path: AUTHZ_PATH,
    method: 'any',
    answer({ message, url, peer }) {
      const startedAt = clock.monotonic()
      const params = operatorParams(url)
      const always403 = params?.get('deny') === '403'
      const finish = ({ answer }: CheckOutcome) => {
        metrics.finished(answer.status.code, startedAt)
        return answer.status.code === 0 ? allowed(answer) : denied(answer, always403)
      }
      const fail = (caught: unknown) => {
        const error = callerError(caught)
        if (error.code === 'INTERNAL' || error.code === 'INVALID_ATTRIBUTE')
          logFailure(caught, 'a forward-auth call failed')
        refused(error, peer)
        metrics.finished(error.status.code, startedAt)
        return failed(error, always403)
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
  }
}

/** @throws IntermixError INVALID_ATTRIBUTE where a set attribute is not of its type */
function operatorSet({ attributes }: ForwardedRequest, vocabulary: Vocabulary) {
  return attributes.length === 0 ? undefined : readSetAttributes(attributes, vocabulary, 'attr parameters')
}

function allowed(answer: Answer): HttpAnswer {
  const headers = describe(answer, 200)
  headers.set('cache-control', cacheControlOf(answer))
  copyHeaders(headers, answer.responseHeaders)
  copyHeaders(headers, answer.requestHeaders)
  const removed = headerChanges(answer.requestHeaders).filter(
    ({ name, replaces, values }) => replaces && values.length === 0 && isRemovable(name) && isCopyableHeader(name),
  )
  if (removed.length > 0) headers.set('x-envoy-auth-headers-to-remove', removed.map(({ name }) => name).join(', '))
  return { status: 200, headers: headers.list(), body: '' }
}

function denied(answer: Answer, always403: boolean): HttpAnswer {
  const denial = denialOf(answer)
  // Proxies take 2xx for "pass", so a handler that wants a 200 page shown cannot have its status here.
  const code = denial.httpStatus < 300 ? httpStatusOf(answer.status.code) : denial.httpStatus
  const headers = describe(answer, code)
  headers.set('cache-control', NOT_KEPT)
  headers.set('content-type', TEXT_TYPE)
  for (const [name, value] of denial.headers) if (isCopyableHeader(name)) headers.set(name, httpHeaderValue(value))
  copyHeaders(headers, answer.responseHeaders)
  return { status: always403 ? 403 : code, headers: headers.list(), body: denial.body }
}

/** A call that is not valid is denied; whatever else fails is a failure of the node. */
function failed(error: IntermixError, always403: boolean): HttpAnswer {
  const code = error.code === 'INVALID_REQUEST' ? 400 : 503
  const headers = new AnswerHeaders()
  for (const name of STATUS_HEADERS) headers.set(name, code)
  headers.set('cache-control', NOT_KEPT)
  headers.set('content-type', TEXT_TYPE)
  return { status: code === 400 && always403 ? 403 : code, headers: headers.list(), body: error.message }
}

const TEXT_TYPE = 'text/plain; charset=utf-8'

/** Our name, and the one that recipes for Mixer's successors use. */
const STATUS_HEADERS = ['x-intermix-status', 'x-mixer-status'] as const

function describe(answer: Answer, code: number): AnswerHeaders {
  const headers = new AnswerHeaders()
  for (const name of STATUS_HEADERS) headers.set(name, code)
  headers.set('x-intermix-tier', answer.tier)
  headers.set('x-intermix-age-ms', answer.ageMs)
  headers.set('x-intermix-valid-for-ms', answer.validForMs)
  return headers
}

/**
 * The proxy copies the headers that its config names to the request or the response, in place of what is there. One that
 * policy removes is not in the answer, and the proxy's config must not let the client's stand then.
 */
function copyHeaders(headers: AnswerHeaders, operations: readonly HeaderOperation[]): void {
  for (const { name, values } of headerChanges(operations)) {
    if (values.length === 0 || !isCopyableHeader(name)) continue
    const clean = values.map(httpHeaderValue)
    // The proxy has one line of it, as a rule: what may be joined is.
    const separator = separatorOf(name) === ',' ? ', ' : separatorOf(name)
    headers.set(name, isJoinable(name) ? clean.join(separator) : clean)
  }
}
