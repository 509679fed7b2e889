// The body of POST /v1/check: attributes, and how the caller wants them answered.

import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { isJsonObject } from '../kernel/json-object.ts'
import { fieldProblem, type Problem } from '../kernel/problem.ts'
import type { RequestLimits } from '../kernel/request-limits.ts'
import type { CheckOptions, QuotaDemand } from '../kernel/services.ts'
import { nearest, suggest } from '../kernel/suggest.ts'
import { parseAttributes } from '../wire/parse-attributes.ts'
import { RequestProblems } from './json-error.ts'

const MAX_TIMEOUT_MS = 60_000
const MAX_QUOTAS = 100
const FIELDS = ['attributes', 'timeoutMs', 'quotas', 'deduplicationId']
const QUOTA_FIELDS = ['amount', 'bestEffort']

export interface CheckBody {
  readonly bag: AttributeBag
  readonly options: CheckOptions
}

export interface CheckBodyOptions {
  /** For a caller that sets no `timeoutMs`. */
  readonly defaultTimeoutMs: number
  readonly limits: RequestLimits
}

/** @throws RequestProblems that lists everything that is wrong with the body; RefusedRequest as `parseAttributes` does. */
export function readCheckBody(body: unknown, vocabulary: Vocabulary, options: CheckBodyOptions): CheckBody {
  if (!isJsonObject(body))
    throw new RequestProblems('the body must be an object', [
      fieldProblem('', 'must be an object such as {"attributes": {…}}.'),
    ])
  const problems: Problem[] = [...unknownFields(body, FIELDS, '')]
  const { maxMapEntries } = options.limits
  const parsed = parseAttributes(body['attributes'], vocabulary, { suggest, maxMapEntries })
  if ('problems' in parsed) problems.push(...parsed.problems)
  const timeoutMs = readTimeout(body['timeoutMs'], options.defaultTimeoutMs, problems)
  const quotas = readQuotas(body['quotas'], problems)
  const deduplicationId = readDeduplicationId(body['deduplicationId'], problems)
  if (problems.length > 0 || !('bag' in parsed)) throw new RequestProblems('the check is not valid', problems)
  return {
    bag: parsed.bag,
    options: {
      timeoutMs,
      ...(quotas === undefined ? {} : { quotas }),
      ...(deduplicationId === undefined ? {} : { deduplicationId }),
    },
  }
}

/** What is the same for each retry of a call. */
export function readDeduplicationId(written: unknown, problems: Problem[]): string | undefined {
  if (written === undefined || typeof written === 'string') return written
  problems.push(fieldProblem('deduplicationId', 'must be a string, the same for each retry of a call.'))
  return undefined
}

/** Problems go to `problems`; then the default counts. */
export function readTimeout(written: unknown, defaultMs: number, problems: Problem[]): number {
  if (written === undefined) return defaultMs
  if (typeof written === 'number' && written > 0 && written <= MAX_TIMEOUT_MS) return written
  problems.push(fieldProblem('timeoutMs', `must be a number of milliseconds above 0 and up to ${MAX_TIMEOUT_MS}.`))
  return defaultMs
}

/** Quotas by name, as far as they can be read. @param least below 0 where amounts may be given back */
export function readQuotas(
  written: unknown,
  problems: Problem[],
  least = 0,
): ReadonlyMap<string, QuotaDemand> | undefined {
  if (written === undefined) return undefined
  if (!isJsonObject(written)) {
    problems.push(fieldProblem('quotas', 'must be an object such as {"requestcount": {"amount": 1}}.'))
    return undefined
  }
  const quotas = new Map<string, QuotaDemand>()
  const entries = Object.entries(written)
  if (entries.length > MAX_QUOTAS)
    problems.push(fieldProblem('quotas', `has ${entries.length} entries; at most ${MAX_QUOTAS} are taken.`))
  for (const [name, demand] of entries.slice(0, MAX_QUOTAS)) {
    const path = `quotas.${name.slice(0, 200)}`
    if (!isJsonObject(demand)) {
      problems.push(fieldProblem(path, 'must be an object such as {"amount": 1, "bestEffort": false}.'))
      continue
    }
    problems.push(...unknownFields(demand, QUOTA_FIELDS, `${path}.`))
    const { amount = 1, bestEffort = false } = demand
    const whole = typeof amount === 'number' && Number.isSafeInteger(amount) && amount >= least
    const range = least < 0 ? '; below 0 gives back' : ' from 0'
    if (!whole) problems.push(fieldProblem(`${path}.amount`, `must be a whole number${range}.`))
    if (typeof bestEffort !== 'boolean') problems.push(fieldProblem(`${path}.bestEffort`, 'must be true or false.'))
    if (whole && typeof bestEffort === 'boolean') quotas.set(name, { amount, bestEffort })
  }
  return quotas
}

/** Problems of fields that are none here. */
export function unknownFields(object: Record<string, unknown>, known: readonly string[], prefix: string): Problem[] {
  const unknown = Object.keys(object).filter((name) => !known.includes(name))
  return unknown.slice(0, 10).map((name) => {
    const hint = nearest(name, known)
      .map((near) => ` Did you mean "${near}"?`)
      .join('')
    return fieldProblem(`${prefix}${name.slice(0, 200)}`, `is not a field here; known are ${known.join(', ')}.${hint}`)
  })
}
