// POST /v1/check: the API for programs. The verdict is in the body; the HTTP status only says whether there is one.

import type { FastifyReply } from 'fastify'
import type { ReferencedAttribute } from '../kernel/read-log.ts'
import type { CheckOutcome, QuotaGrant } from '../kernel/services.ts'
import { readCheckBody } from './check-body.ts'
import { createDoorMetrics } from './door-metrics.ts'
import { callerError } from './failure-log.ts'
import type { RouteDependencies, Route } from './http-route.ts'

/** Answers 200 whatever the verdict; 400 for a body that is not valid, 5xx where the node itself cannot answer. */
export function checkRoute(options: RouteDependencies): Route {
  const { check, clock, meter, limits } = options
  const metrics = createDoorMetrics({ meter, clock, door: 'http_check' })
  return (app) => {
    const config = { maxBytes: limits.maxAttributeBytes, uniqueNames: true }
    app.post('/v1/check', { config }, (request, reply) => {
      const startedAt = clock.monotonic()
      const finish = (outcome: CheckOutcome) => {
        metrics.finished(outcome.answer.status.code, startedAt)
        return sendOutcome(reply, outcome)
      }
      const fail = (caught: unknown): never => {
        metrics.finished(callerError(caught).status.code, startedAt)
        throw caught
      }
      try {
        const asked = readCheckBody(request.body, check.vocabulary(), options)
        const outcome = check.check(asked.bag, asked.options)
        return outcome instanceof Promise ? outcome.then(finish, fail) : finish(outcome)
      } catch (caught) {
        return fail(caught)
      }
    })
  }
}

function sendOutcome(reply: FastifyReply, { answer, quotas }: CheckOutcome): FastifyReply {
  const { status, validForMs, validUses, tier, ageMs } = answer
  reply.header('x-intermix-status', status.code)
  reply.header('x-intermix-tier', tier)
  reply.header('x-intermix-age-ms', ageMs)
  reply.header('x-intermix-valid-for-ms', validForMs)
  return reply.send({
    status: { code: status.code, message: status.message },
    validForMs,
    validUses,
    tier,
    ageMs,
    referenced: answer.referenced.map(referencedJson),
    requestHeaders: answer.requestHeaders,
    responseHeaders: answer.responseHeaders,
    directResponse: answer.directResponse,
    quotas:
      quotas.size === 0 ? undefined : Object.fromEntries([...quotas].map(([name, grant]) => [name, grantJson(grant)])),
  })
}

function referencedJson({ name, key, condition, whole }: ReferencedAttribute): object {
  return { name, key, condition, whole: whole ? true : undefined }
}

function grantJson({ status, granted, validForMs, referenced }: QuotaGrant): object {
  return {
    status: { code: status.code, message: status.message },
    granted,
    validForMs,
    referenced: referenced.map(referencedJson),
  }
}
