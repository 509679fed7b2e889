// The body of POST /v1/quota: attributes and the quotas to charge, or a domain and descriptors as Envoy's rate limit service
// has them.

import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { isJsonObject } from '../kernel/json-object.ts'
import { fieldProblem, type Problem } from '../kernel/problem.ts'
import { RATE_UNITS, type RateLimitDemand, type RateLimitDescriptor } from '../kernel/rate-limit.ts'
import type { QuotaDemand, QuotaOptions } from '../kernel/services.ts'
import { suggest } from '../kernel/suggest.ts'
import { parseAttributes } from '../wire/parse-attributes.ts'
import { type CheckBodyOptions, readDeduplicationId, readQuotas, readTimeout, unknownFields } from './check-body.ts'
import { RequestProblems } from './json-error.ts'

const QUOTA_FIELDS = ['attributes', 'quotas', 'timeoutMs', 'deduplicationId']
const LIMIT_FIELDS = ['domain', 'descriptors', 'hitsAddend', 'timeoutMs']
const DESCRIPTOR_FIELDS = ['entries', 'limit', 'hitsAddend']
const ENTRY_FIELDS = ['key', 'value']
const OVERRIDE_FIELDS = ['requestsPerUnit', 'unit']
const MOST_REQUESTS = 0xffff_ffff
const MAX_PROBLEMS = 50

/** Named quotas of a request, by the rules that apply to it. */
export interface QuotasBody {
  readonly kind: 'quotas'
  readonly bag: AttributeBag
  readonly demands: ReadonlyMap<string, QuotaDemand>
  readonly options: QuotaOptions
}

export interface LimitsBody {
  readonly kind: 'limits'
  readonly demand: RateLimitDemand
  readonly timeoutMs: number
}

/** @throws RequestProblems that lists what is wrong with the body; RefusedRequest as `parseAttributes` does. */
export function readQuotaBody(
  body: unknown,
  vocabulary: Vocabulary,
  options: CheckBodyOptions,
): QuotasBody | LimitsBody {
  if (!isJsonObject(body))
    throw refused([fieldProblem('', 'must be an object such as {"attributes": {…}, "quotas": {"requestcount": {}}}.')])
  return 'domain' in body || 'descriptors' in body ? readLimits(body, options) : readNamed(body, vocabulary, options)
}

function readNamed(body: Record<string, unknown>, vocabulary: Vocabulary, options: CheckBodyOptions): QuotasBody {
  const problems: Problem[] = [...unknownFields(body, [...QUOTA_FIELDS, ...LIMIT_FIELDS], '')]
  const { maxMapEntries } = options.limits
  const parsed = parseAttributes(body['attributes'], vocabulary, { suggest, maxMapEntries })
  if ('problems' in parsed) problems.push(...parsed.problems)
  const timeoutMs = readTimeout(body['timeoutMs'], options.defaultTimeoutMs, problems)
  const demands = readQuotas(body['quotas'], problems, -Number.MAX_SAFE_INTEGER) ?? new Map<string, QuotaDemand>()
  if (demands.size === 0 && problems.length === 0)
    problems.push(
      fieldProblem('quotas', 'names no quota: say which to charge, such as {"requestcount": {"amount": 1}}.'),
    )
  const deduplicationId = readDeduplicationId(body['deduplicationId'], problems)
  if (problems.length > 0 || !('bag' in parsed)) throw refused(problems)
  const named = { timeoutMs, ...(deduplicationId === undefined ? {} : { deduplicationId }) }
  return { kind: 'quotas', bag: parsed.bag, demands, options: named }
}

function readLimits(body: Record<string, unknown>, { defaultTimeoutMs, limits }: CheckBodyOptions): LimitsBody {
  const problems: Problem[] = [...unknownFields(body, LIMIT_FIELDS, '')]
  const { domain, descriptors } = body
  if (typeof domain !== 'string' || domain === '')
    problems.push(fieldProblem('domain', 'must be a string that is not empty.'))
  const read: RateLimitDescriptor[] = []
  if (!Array.isArray(descriptors) || descriptors.length === 0)
    problems.push(fieldProblem('descriptors', 'must be a list such as [{"entries": [{"key": "a", "value": "b"}]}].'))
  else if (descriptors.length > limits.maxMapEntries)
    problems.push(fieldProblem('descriptors', `has more than ${limits.maxMapEntries} items; send fewer.`))
  else
    for (const [at, each] of (descriptors as unknown[]).entries()) {
      if (problems.length >= MAX_PROBLEMS) break
      read.push(readDescriptor(each, `descriptors[${at}]`, limits.maxMapEntries, problems))
    }
  const hitsAddend = readAmount(body['hitsAddend'], 'hitsAddend', MOST_REQUESTS, problems) ?? 0
  const timeoutMs = readTimeout(body['timeoutMs'], defaultTimeoutMs, problems)
  if (problems.length > 0) throw refused(problems)
  return { kind: 'limits', demand: { domain: domain as string, descriptors: read, hitsAddend }, timeoutMs }
}

function readDescriptor(written: unknown, path: string, maxEntries: number, problems: Problem[]): RateLimitDescriptor {
  if (!isJsonObject(written)) {
    problems.push(fieldProblem(path, 'must be an object such as {"entries": [{"key": "a", "value": "b"}]}.'))
    return { entries: [] }
  }
  problems.push(...unknownFields(written, DESCRIPTOR_FIELDS, `${path}.`))
  const { entries, limit } = written
  const hitsAddend = readAmount(written['hitsAddend'], `${path}.hitsAddend`, Number.MAX_SAFE_INTEGER, problems)
  const list: unknown[] = Array.isArray(entries) ? entries : []
  if (list.length === 0 || list.length > maxEntries)
    problems.push(fieldProblem(`${path}.entries`, `must be a list of 1 to ${maxEntries} items {"key": …, "value": …}.`))
  return {
    entries: list.slice(0, maxEntries).map((entry, at) => readEntry(entry, `${path}.entries[${at}]`, problems)),
    ...(limit === undefined ? {} : { limit: readOverride(limit, `${path}.limit`, problems) }),
    ...(hitsAddend === undefined ? {} : { hitsAddend }),
  }
}

function readEntry(written: unknown, path: string, problems: Problem[]): { key: string; value: string } {
  const { key, value = '' } = isJsonObject(written) ? written : {}
  if (isJsonObject(written)) problems.push(...unknownFields(written, ENTRY_FIELDS, `${path}.`))
  if (typeof key === 'string' && typeof value === 'string') return { key, value }
  problems.push(fieldProblem(path, 'must be an object of two strings: {"key": "a", "value": "b"}.'))
  return { key: '', value: '' }
}

function readOverride(written: unknown, path: string, problems: Problem[]): NonNullable<RateLimitDescriptor['limit']> {
  const { requestsPerUnit, unit } = isJsonObject(written) ? written : {}
  if (isJsonObject(written)) problems.push(...unknownFields(written, OVERRIDE_FIELDS, `${path}.`))
  const found = RATE_UNITS.find((each) => typeof unit === 'string' && each === unit.toLowerCase())
  if (found === undefined) problems.push(fieldProblem(`${path}.unit`, `must be one of ${RATE_UNITS.join(', ')}.`))
  const amount = readAmount(requestsPerUnit, `${path}.requestsPerUnit`, MOST_REQUESTS, problems) ?? 0
  return { requestsPerUnit: amount, unit: found }
}

function readAmount(written: unknown, path: string, most: number, problems: Problem[]): number | undefined {
  if (written === undefined) return undefined
  if (typeof written === 'number' && Number.isInteger(written) && written >= 0 && written <= most) return written
  problems.push(fieldProblem(path, `must be a whole number from 0 to ${most}.`))
  return undefined
}

function refused(problems: readonly Problem[]): RequestProblems {
  return new RequestProblems('the demand is not valid', problems.slice(0, MAX_PROBLEMS))
}
