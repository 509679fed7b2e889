// POST /v1/quota: charges quotas, or rate limits by descriptors, of a request that nobody checks here. What was granted is in
// the body; the HTTP status only says whether there is an answer.

import { IntermixError } from '../kernel/errors.ts'
import { JSON_TYPE } from '../kernel/http-answer.ts'
import type { DescriptorStatus, RateLimitAnswer } from '../kernel/rate-limit.ts'
import { Code } from '../kernel/status.ts'
import { quotasJson } from './check-answer.ts'
import { createDoorMetrics } from './door-metrics.ts'
import { callerError } from './failure-log.ts'
import type { HttpRoute, RouteDependencies } from './http-route.ts'
import { parseJsonBody, refuseLongBody } from './json-body.ts'
import { type LimitsBody, type QuotasBody, readQuotaBody } from './quota-body.ts'

export const QUOTA_PATH = '/v1/quota'

/** Answers `{"quotas": …}` as a check does, or in the JSON form of RateLimitResponse. */
export function quotaRoute(given: RouteDependencies): HttpRoute {
  const { check, limits, clock } = given
  const metrics = createDoorMetrics({ ...given, door: 'http_quota' })
  const answer = async (body: Buffer): Promise<{ readonly code: number; readonly text: string }> => {
    refuseLongBody(body, limits.maxAttributeBytes)
    const asked = readQuotaBody(parseJsonBody(body, { uniqueNames: true }), check.vocabulary(), given)
    return asked.kind === 'quotas' ? await chargeQuotas(given, asked) : await chargeLimits(given, asked)
  }
  return {
    path: QUOTA_PATH,
    method: 'POST',
    async answer({ body }) {
      const startedAt = clock.monotonic()
      try {
        const { code, text } = await answer(body)
        metrics.finished(code, startedAt)
        return { status: 200, headers: ['content-type', JSON_TYPE], body: text }
      } catch (caught) {
        metrics.finished(callerError(caught).status.code, startedAt)
        throw caught
      }
    },
  }
}

async function chargeQuotas({ quotas }: RouteDependencies, { bag, demands, options }: QuotasBody) {
  const grants = await quotas.charge(bag, demands, options)
  const refused = [...grants.values()].find(({ status }) => status.code !== Code.OK)
  return { code: refused?.status.code ?? Code.OK, text: `{"quotas":${quotasJson(grants)}}` }
}

async function chargeLimits({ rateLimit }: RouteDependencies, { demand, timeoutMs }: LimitsBody) {
  if (rateLimit === undefined)
    throw new IntermixError(
      'NOT_FOUND',
      'there are no limits by descriptors here: nodes have them with --ratelimit-config DIR; sidecars take descriptors over gRPC only',
    )
  const answer = await rateLimit.service.shouldRateLimit(demand, { timeoutMs })
  return { code: answer.isOver ? Code.RESOURCE_EXHAUSTED : Code.OK, text: JSON.stringify(jsonOf(answer)) }
}

function jsonOf({ isOver, statuses }: RateLimitAnswer): object {
  return { overallCode: codeOf(isOver), statuses: statuses.map(statusJson) }
}

function statusJson({ isOver, limit, remaining, resetSeconds }: DescriptorStatus): object {
  if (limit === undefined) return { code: codeOf(isOver), limitRemaining: remaining }
  const { requestsPerUnit, unit, name } = limit
  return {
    code: codeOf(isOver),
    currentLimit: {
      requestsPerUnit,
      ...(unit === undefined ? {} : { unit: unit.toUpperCase() }),
      ...(name === '' ? {} : { name }),
    },
    limitRemaining: remaining,
    durationUntilReset: `${resetSeconds}s`,
  }
}

function codeOf(isOver: boolean): string {
  return isOver ? 'OVER_LIMIT' : 'OK'
}
