// Quotas counted in Redis: one limit for all nodes.

import { z } from 'zod'
import {
  defineAdapter,
  type AdapterEnvironment,
  type ConfigIssue,
  type Handler,
  type LimitStanding,
  type QuotaCharge,
  type QuotaResult,
} from '../../adapter-kit/define-adapter.ts'
import { duplicateQuotas, LimitResolver } from '../../adapter-kit/quota-limits.ts'
import { goDuration } from '../../adapter-kit/schema.ts'
import { MOST_USABLE_MS, usableOfWindow } from '../../adapter-kit/spendable.ts'
import type { RedisServer, ScriptRunner } from '../../adapter-kit/script-runner.ts'
import type { QuotaInstance } from '../../adapter-kit/templates.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { parseRedisUrl } from '../../kernel/redis-url.ts'
import { Code, OK_STATUS, type Status } from '../../kernel/status.ts'
import { CHARGE, RESET } from './scripts.ts'

const MOST_BUCKETS = 1_000
const DEDUPLICATION_MS = 60_000

const config = z.strictObject({
  /** As `kernel/redis-url.ts` reads it, or Mixer's `host:port`; empty: Intermix's own durable Redis. */
  redisServerUrl: z.string().default(''),
  /** Files with the passwords of that Redis, and of its sentinels. */
  redisPasswordFile: z.string().default(''),
  redisSentinelUser: z.string().default(''),
  redisSentinelPasswordFile: z.string().default(''),
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
    // Now, so that the first call finds it connected.
    const runner = connect(params, env)
    const limits = new LimitResolver(params.quotas)
    /** One for all keys of a counter: they share a slot of a cluster. */
    const tagOf = (key: string) => `${runner.prefix}:rq:{${env.handlerName}:${key}}`
    const asked = ({ instance, request }: QuotaCharge<QuotaInstance>): Asked => {
      const { amount, bestEffort, deduplicationId } = request
      const { quota, override, key, shortName: name } = limits.resolve(instance)
      const { maxAmount } = override ?? quota
      const isRolling = quota.rateLimitAlgorithm === 'ROLLING_WINDOW'
      const tag = tagOf(key)
      return {
        keys: [`${tag}:${isRolling ? 'rolling' : 'fixed'}`, `${tag}:d:${deduplicationId}`],
        args: [
          amount,
          bestEffort ? 1 : 0,
          maxAmount,
          Math.ceil(quota.validDuration),
          isRolling ? bucketOf(quota) : 0,
          deduplicationId === '' ? 0 : DEDUPLICATION_MS,
        ],
        limit: { name, amount: maxAmount, windowMs: quota.validDuration },
        isRolling,
        amount,
      }
    }
    const charge = async (charges: readonly QuotaCharge[]): Promise<QuotaResult[]> => {
      if (charges.some(({ request }) => request.amount < 0)) return charges.map(() => TAKES_NOTHING_BACK)
      const all = charges.map((each) => asked(each as QuotaCharge<QuotaInstance>))
      const replies = await runner.run(
        CHARGE,
        all.flatMap(({ keys }) => keys),
        all.flatMap(({ args }) => args),
      )
      return all.map((each, at) => resultOf(each, Array.isArray(replies) ? replies[at] : undefined))
    }
    return {
      quotaReset: {
        quota: async (instance) => {
          const tag = tagOf(limits.resolve(instance).key)
          return Number(await runner.run(RESET, [`${tag}:fixed`, `${tag}:rolling`], []))
        },
      },
      quota: {
        quota: async (instance, request) => (await charge([{ instance, request }]))[0] as QuotaResult,
      },
      // Counters of a cluster lie in slots of their own, and a script is of one slot.
      ...(runner.isCluster ? {} : { quotaTogether: { quota: charge } }),
    }
  },
})

/** What one charge of a quota comes to. */
interface Asked {
  readonly keys: readonly string[]
  readonly args: readonly number[]
  readonly limit: Pick<LimitStanding, 'name' | 'amount'> & { readonly windowMs: number }
  readonly isRolling: boolean
  readonly amount: number
}

/** A process without Redis has the handler all the same: each call says why it has no answer. */
function connect(params: RedisQuotaConfig, { redis }: AdapterEnvironment): ScriptRunner {
  try {
    if (redis !== undefined) return redis(serverOf(params))
  } catch (error) {
    if (IntermixError.from(error).code !== 'NOT_READY') throw error
  }
  return {
    prefix: '',
    isCluster: false,
    run: () => Promise.reject(new IntermixError('NOT_READY', 'redisquota needs a Redis, and this process has none')),
  }
}

function serverOf(params: RedisQuotaConfig): RedisServer | undefined {
  const { redisServerUrl, redisPasswordFile, redisSentinelUser, redisSentinelPasswordFile } = params
  if (redisServerUrl === '') return undefined
  return {
    url: redisServerUrl.includes('://') ? redisServerUrl : `redis://${redisServerUrl}`,
    ...(redisPasswordFile === '' ? {} : { passwordFile: redisPasswordFile }),
    ...(redisSentinelPasswordFile === ''
      ? {}
      : {
          sentinel: {
            user: redisSentinelUser === '' ? undefined : redisSentinelUser,
            passwordFile: redisSentinelPasswordFile,
          },
        }),
  }
}

function bucketOf({ bucketDuration, validDuration }: RedisQuotaConfig['quotas'][number]): number {
  return Math.ceil(bucketDuration > 0 ? bucketDuration : validDuration / 10)
}

const TAKES_NOTHING_BACK: QuotaResult = {
  status: { code: Code.INVALID_ARGUMENT, message: 'a rate limit takes no amounts back' },
  granted: 0,
  validForMs: 0,
}
const USED_UP: Status = { code: Code.RESOURCE_EXHAUSTED, message: 'the quota is used up' }

/** @param reply see `CHARGE` */
function resultOf({ limit, amount, isRolling }: Asked, reply: unknown): QuotaResult {
  const numbers = Array.isArray(reply) ? (reply as readonly unknown[]).map(Number) : []
  const [granted = -1, validForMs = -1, left = Number.NaN, resetMs = -1, fits] = numbers
  if (!(granted >= 0 && granted <= amount && validForMs >= 0 && Number.isFinite(left) && resetMs >= 0))
    throw new IntermixError('BACKEND_FAILED', 'the quota script answered nonsense')
  const isRefused = fits === 0
  const retryAfterMs = !isRefused ? 0 : amount > limit.amount ? Number.POSITIVE_INFINITY : validForMs
  // A fixed window ends when nothing of it counts any more.
  const usableMs = isRolling ? usableOfWindow(limit.windowMs) : Math.min(MOST_USABLE_MS, resetMs)
  const limits = [{ ...limit, left, resetMs, retryAfterMs, usableMs }]
  return { status: isRefused ? USED_UP : OK_STATUS, granted, validForMs, limits }
}

function validate(params: RedisQuotaConfig): readonly ConfigIssue[] {
  const issues: ConfigIssue[] = [...duplicateQuotas(params.quotas)]
  issues.push(...serverIssues(params))
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

function serverIssues(params: RedisQuotaConfig): readonly ConfigIssue[] {
  const server = serverOf(params)
  const files = ['redisPasswordFile', 'redisSentinelUser', 'redisSentinelPasswordFile'] as const
  const issue = (name: keyof RedisQuotaConfig, message: string) => [{ path: [name], message }]
  if (server === undefined) {
    return files.flatMap((name) =>
      params[name] === '' ? [] : issue(name, 'is for the Redis that redisServerUrl names'),
    )
  }
  try {
    const { kind, password } = parseRedisUrl(server.url)
    if (server.passwordFile !== undefined && password !== undefined)
      return issue('redisPasswordFile', 'stands beside a password in redisServerUrl: give one of the two')
    const [unused] = kind === 'sentinel' ? [] : files.slice(1).filter((name) => params[name] !== '')
    if (unused !== undefined) return issue(unused, 'is for a redisServerUrl that begins with redis+sentinel://')
    if (params.redisSentinelUser !== '' && server.sentinel === undefined)
      return issue('redisSentinelUser', 'needs redisSentinelPasswordFile')
    return []
  } catch (error) {
    return issue('redisServerUrl', `must be host:port or a Redis URL: ${IntermixError.from(error).message}`)
  }
}
