// Quotas counted in Redis: one limit for all nodes.

import { z } from 'zod'
import {
  defineAdapter,
  type AdapterEnvironment,
  type ConfigIssue,
  type Handler,
  type QuotaResult,
} from '../../adapter-kit/define-adapter.ts'
import { duplicateQuotas, resolveLimit } from '../../adapter-kit/quota-limits.ts'
import { goDuration } from '../../adapter-kit/schema.ts'
import type { ScriptRunner } from '../../adapter-kit/script-runner.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { Code, OK_STATUS } from '../../kernel/status.ts'
import { FIXED_WINDOW, ROLLING_WINDOW } from './scripts.ts'

const MOST_BUCKETS = 1_000
const DEDUPLICATION_MS = 60_000

const config = z.strictObject({
  /** `redis://…` or Mixer's `host:port`; empty: Intermix's own durable Redis. */
  redisServerUrl: z.string().default(''),
  /** Mixer's; accepted so that old configs load. One connection carries all calls. */
  connectionPoolSize: z.int().min(0).default(0),
  quotas: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        maxAmount: z.int().min(1),
        validDuration: goDuration({ minMs: 1 }),
        bucketDuration: goDuration().default(0),
        rateLimitAlgorithm: z.enum(['FIXED_WINDOW', 'ROLLING_WINDOW']).default('FIXED_WINDOW'),
        overrides: z
          .array(z.strictObject({ dimensions: z.record(z.string(), z.string()), maxAmount: z.int().min(1) }))
          .default([]),
      }),
    )
    .default([]),
})

type RedisQuotaConfig = z.output<typeof config>

export default defineAdapter({
  name: 'redisquota',
  description: 'Counts quotas in Redis, for all nodes together',
  templates: ['quota'],
  config,
  doesIo: true,
  staleIfErrorMs: 0,
  validate,
  create(params, env): Handler {
    let runner: ScriptRunner | undefined
    return {
      quota: {
        quota: async (instance, request) => {
          const { amount, bestEffort, deduplicationId } = request
          if (amount < 0) return refused(Code.INVALID_ARGUMENT, 'a rate limit takes no amounts back', 0)
          const { quota, override, key } = resolveLimit(params.quotas, instance)
          const rolling = quota.rateLimitAlgorithm === 'ROLLING_WINDOW'
          runner ??= connect(params, env)
          // One tag for all keys of a counter: they share a slot of a cluster.
          const tag = `intermix:rq:{${env.handlerName}:${key}}`
          const remembered = deduplicationId === '' ? 0 : DEDUPLICATION_MS
          const reply = await runner.run(
            rolling ? ROLLING_WINDOW : FIXED_WINDOW,
            [`${tag}:${rolling ? 'rolling' : 'fixed'}`, `${tag}:d:${deduplicationId}`],
            [
              amount,
              bestEffort ? 1 : 0,
              (override ?? quota).maxAmount,
              Math.ceil(quota.validDuration),
              rolling ? bucketOf(quota) : 0,
              remembered,
            ],
          )
          const [granted, validForMs] = readReply(reply, amount)
          if (granted > 0 || amount === 0) return { status: OK_STATUS, granted, validForMs }
          return refused(Code.RESOURCE_EXHAUSTED, 'the quota is used up', validForMs)
        },
      },
    }
  },
})

function connect({ redisServerUrl }: RedisQuotaConfig, { redis }: AdapterEnvironment): ScriptRunner {
  if (redis === undefined) throw new IntermixError('NOT_READY', 'redisquota needs a Redis, and this process has none')
  if (redisServerUrl === '') return redis(undefined)
  return redis(redisServerUrl.includes('://') ? redisServerUrl : `redis://${redisServerUrl}`)
}

function bucketOf({ bucketDuration, validDuration }: RedisQuotaConfig['quotas'][number]): number {
  return Math.ceil(bucketDuration > 0 ? bucketDuration : validDuration / 10)
}

function refused(code: number, message: string, validForMs: number): QuotaResult {
  return { status: { code, message }, granted: 0, validForMs }
}

function readReply(reply: unknown, amount: number): readonly [granted: number, validForMs: number] {
  const [granted, validForMs] = Array.isArray(reply) ? (reply as readonly unknown[]).map(Number) : []
  if (granted === undefined || validForMs === undefined || !(granted >= 0 && granted <= amount && validForMs >= 0)) {
    throw new IntermixError('BACKEND_FAILED', 'the quota script answered nonsense')
  }
  return [granted, validForMs]
}

function validate(params: RedisQuotaConfig): readonly ConfigIssue[] {
  const issues: ConfigIssue[] = [...duplicateQuotas(params.quotas)]
  if (params.redisServerUrl.includes('://') && !/^rediss?:\/\//.test(params.redisServerUrl)) {
    issues.push({ path: ['redisServerUrl'], message: 'must be redis://…, rediss://… or host:port' })
  }
  for (const [index, quota] of params.quotas.entries()) {
    if (quota.rateLimitAlgorithm !== 'ROLLING_WINDOW') continue
    const path = ['quotas', index, 'bucketDuration']
    if (quota.bucketDuration >= quota.validDuration) {
      issues.push({ path, message: 'must be shorter than validDuration' })
    } else if (quota.validDuration / bucketOf(quota) > MOST_BUCKETS) {
      issues.push({ path, message: `must cut validDuration into at most ${MOST_BUCKETS} buckets` })
    }
  }
  return issues
}
