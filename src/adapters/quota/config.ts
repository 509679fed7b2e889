// What a handler of this adapter is told: limits by the names of quota instances.

import { z } from 'zod'
import type { ConfigIssue } from '../../adapter-kit/define-adapter.ts'
import { AWAY_POLICIES, CALENDAR_UNITS, type LimitRule } from '../../adapter-kit/limits.ts'
import { duplicateQuotas, isQuotaNameOf } from '../../adapter-kit/quota-limits.ts'
import { goDuration } from '../../adapter-kit/schema.ts'

const MOST_LIMITS = 8
const MOST_BUCKETS = 100
const DAY_MS = 86_400_000

const ALGORITHMS = {
  GCRA: 'gcra',
  TOKEN_BUCKET: 'tokenBucket',
  FIXED_WINDOW: 'fixedWindow',
  SLIDING_WINDOW: 'slidingWindow',
  ROLLING_WINDOW: 'rollingWindow',
  CONCURRENCY: 'concurrency',
  ALLOCATION: 'allocation',
} as const
type AlgorithmName = keyof typeof ALGORITHMS

const limit = z.strictObject({
  /** Most that is granted in `validDuration`, in flight at one time, or allocated. */
  maxAmount: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  /** The window; of CONCURRENCY and ALLOCATION what is not given back is taken for gone after so long (a day). */
  validDuration: goDuration().default(0),
  /** In place of `validDuration`: a unit of the calendar, in UTC. */
  calendar: z.enum(CALENDAR_UNITS).optional(),
  rateLimitAlgorithm: z.enum(Object.keys(ALGORITHMS) as [AlgorithmName, ...AlgorithmName[]]).optional(),
  /** Of GCRA and TOKEN_BUCKET: most at once; `maxAmount` unless given. */
  burst: z.int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
  /** Of ROLLING_WINDOW; a tenth of the window unless given. */
  bucketDuration: goDuration().default(0),
})

const ACCURACY = 'must be "exact" or a percentage below 100%, such as 1%'
const accuracy = z
  .string({ error: ACCURACY })
  .regex(/^(exact|\d{1,2}(\.\d+)?%)$/, ACCURACY)
  .default('exact')
  .transform((text) => (text === 'exact' ? 0 : Number(text.slice(0, -1)) / 100))

const quota = z.strictObject({
  name: z.string().min(1),
  limits: z.array(limit).min(1).max(MOST_LIMITS),
  /** The promised error: above `exact` nodes hold amounts ahead of need, and ask Redis seldom. */
  accuracy,
  /** What nodes do while Redis is away. */
  redisAway: z.enum(AWAY_POLICIES).default('share'),
  /** Who gives places of CONCURRENCY back: reports of the requests that have them, or only who names the quota. */
  release: z.enum(['report', 'caller']).default('report'),
  overrides: z
    .array(
      z.strictObject({ dimensions: z.record(z.string(), z.string()), limits: z.array(limit).min(1).max(MOST_LIMITS) }),
    )
    .default([]),
})

export const config = z.strictObject({ quotas: z.array(quota).default([]) })
export type QuotaConfig = z.output<typeof config>

/** Whether the places of an instance are given back when the request ends that has them. */
export function holdsUntilEnd(instance: string, { quotas }: QuotaConfig): boolean {
  const quota = quotas.find(({ name }) => isQuotaNameOf(name, instance))
  return quota !== undefined && quota.release === 'report' && limitsOf(quota).some(isConcurrency)
}

function limitsOf({ limits, overrides }: QuotaConfig['quotas'][number]): LimitParams[] {
  return [...limits, ...overrides.flatMap((override) => override.limits)]
}

function isConcurrency({ rateLimitAlgorithm: name }: LimitParams): boolean {
  return name === 'CONCURRENCY'
}

type LimitParams = z.output<typeof limit>

/** A limit as it is counted. */
export function ruleOf({ maxAmount: amount, ...params }: LimitParams): LimitRule {
  if (params.calendar !== undefined) return { algorithm: 'calendarWindow', amount, unit: params.calendar }
  const { rateLimitAlgorithm = 'SLIDING_WINDOW', burst = amount } = params
  const windowMs = Math.ceil(params.validDuration)
  const algorithm = ALGORITHMS[rateLimitAlgorithm]
  switch (algorithm) {
    case 'gcra':
    case 'tokenBucket':
      return { algorithm, amount, windowMs, burst }
    case 'fixedWindow':
      return { algorithm, amount, windowMs, from: 'epoch' }
    case 'rollingWindow':
      return { algorithm, amount, windowMs, bucketMs: bucketOf(params) }
    case 'slidingWindow':
      return { algorithm, amount, windowMs }
    default:
      return { algorithm, amount, expiryMs: windowMs === 0 ? DAY_MS : windowMs }
  }
}

function bucketOf({ bucketDuration, validDuration }: Pick<LimitParams, 'bucketDuration' | 'validDuration'>): number {
  return Math.max(1, Math.ceil(bucketDuration > 0 ? bucketDuration : validDuration / 10))
}

/** What the schema cannot say: which fields belong to which algorithm. All of it at once. */
export function validate({ quotas }: QuotaConfig): readonly ConfigIssue[] {
  const issues: ConfigIssue[] = [...duplicateQuotas(quotas)]
  for (const [index, quota] of quotas.entries()) {
    const { limits, overrides, accuracy: error } = quota
    const path = ['quotas', index]
    for (const [at, each] of limits.entries()) issues.push(...issuesOf(each, [...path, 'limits', at]))
    for (const [place, override] of overrides.entries())
      for (const [at, each] of override.limits.entries())
        issues.push(...issuesOf(each, [...path, 'overrides', place, 'limits', at]))
    const isHeld = limitsOf(quota).some((each) => isConcurrency(each) || each.rateLimitAlgorithm === 'ALLOCATION')
    if (isHeld && error > 0)
      issues.push({ path: [...path, 'accuracy'], message: 'must be "exact" for CONCURRENCY and ALLOCATION' })
  }
  return issues
}

function issuesOf(params: LimitParams, path: readonly (string | number)[]): ConfigIssue[] {
  const { rateLimitAlgorithm: name, calendar, validDuration, burst, bucketDuration } = params
  const issues: ConfigIssue[] = []
  const issue = (field: string, message: string) => issues.push({ path: [...path, field], message })
  const isHeld = name === 'CONCURRENCY' || name === 'ALLOCATION'
  if (calendar !== undefined) {
    if (name !== undefined && name !== 'FIXED_WINDOW') issue('calendar', 'goes with FIXED_WINDOW only')
    if (validDuration > 0) issue('validDuration', 'is not wanted beside calendar')
  } else if (validDuration < 1 && !isHeld) {
    issue('validDuration', 'is missing: over what time, such as 60s (or calendar: month)')
  }
  if (burst !== undefined && name !== 'GCRA' && name !== 'TOKEN_BUCKET')
    issue('burst', 'goes with GCRA and TOKEN_BUCKET only')
  if (bucketDuration === 0) return issues
  if (name !== 'ROLLING_WINDOW') issue('bucketDuration', 'goes with ROLLING_WINDOW only')
  else if (bucketDuration >= validDuration) issue('bucketDuration', 'must be shorter than validDuration')
  else if (validDuration / bucketOf(params) > MOST_BUCKETS)
    issue('bucketDuration', `must cut validDuration into at most ${MOST_BUCKETS} buckets`)
  return issues
}
