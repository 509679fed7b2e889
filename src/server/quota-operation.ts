// What operators ask of the counters of quotas, over the admin port.

import { isJsonObject } from '../kernel/json-object.ts'
import type { Operation } from '../kernel/operation.ts'
import { fieldProblem, type Problem } from '../kernel/problem.ts'
import type { DescriptorEntry } from '../kernel/rate-limit.ts'
import type { CounterAddress, QuotaAnswer, QuotaQuestion } from '../policy/quota-counters.ts'
import { MOST_TOLD } from '../quota/usage/counter-usage.ts'
import { USAGE_ORDERS } from '../quota/usage/quota-usage.ts'
import { unknownFields } from './check-body.ts'
import { parseJsonBody } from './json-body.ts'
import { RequestProblems } from './json-error.ts'
import { answering, type OperatorDependencies } from './operations.ts'

const ACTIONS = ['top', 'inspect', 'reset', 'resetAll'] as const
const FIELDS = ['action', 'by', 'limit', 'handler', 'quota', 'domain', 'counter']
const COUNTER_FIELDS = ['handler', 'quota', 'dimensions', 'domain', 'entries']
const DEFAULT_LIMIT = 20

/**
 * `quotas`: `{"action": "top", "by": "used", "limit": 20, "handler": …}`; `inspect` and `reset` of a `counter`,
 * `{"handler", "quota", "dimensions"}` or `{"domain", "entries"}`; `resetAll` of a handler, one of its quotas, or a domain.
 */
export function quotasOperation(
  operator: Pick<OperatorDependencies, 'log' | 'limits'>,
  answer: (question: QuotaQuestion) => Promise<QuotaAnswer>,
): Operation {
  return answering(operator, async ({ body }) => {
    const question = readQuestion(parseJsonBody(body, { uniqueNames: true }))
    return { httpStatus: 200, body: await answer(question) }
  })
}

function readQuestion(written: unknown): QuotaQuestion {
  const body = isJsonObject(written) ? written : {}
  const problems: Problem[] = [...unknownFields(body, FIELDS, '')]
  const action = ACTIONS.find((each) => each === body['action'])
  const question = action && readAction(action, body, problems)
  if (action === undefined) problems.push(fieldProblem('action', `must be one of ${ACTIONS.join(', ')}.`))
  if (question !== undefined && problems.length === 0) return question
  throw new RequestProblems('the question is not valid', problems)
}

function readAction(
  action: (typeof ACTIONS)[number],
  body: Record<string, unknown>,
  problems: Problem[],
): QuotaQuestion | undefined {
  if (action === 'inspect' || action === 'reset') {
    const counter = readCounter(body['counter'], problems)
    return counter && { action, counter }
  }
  const [handler, domain] = [readText(body, 'handler', problems), readText(body, 'domain', problems)]
  if (action === 'top') return { action, handler, ...readOrder(body, problems) }
  if (domain !== undefined) return { action, domain }
  if (handler !== undefined) return { action, handler, quota: readText(body, 'quota', problems) }
  problems.push(fieldProblem('', 'say of which "handler" or "domain" all counters are to be reset.'))
  return undefined
}

function readText(body: Record<string, unknown>, name: string, problems: Problem[]): string | undefined {
  const value = body[name]
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  problems.push(fieldProblem(name, 'must be a string that is not empty.'))
  return undefined
}

function readOrder(body: Record<string, unknown>, problems: Problem[]) {
  const { by: written = 'used', limit = DEFAULT_LIMIT } = body
  const by = USAGE_ORDERS.find((each) => each === written)
  if (by === undefined) problems.push(fieldProblem('by', `must be one of ${USAGE_ORDERS.join(', ')}.`))
  if (typeof limit === 'number' && Number.isInteger(limit) && limit >= 1 && limit <= MOST_TOLD)
    return { by: by ?? 'used', limit }
  problems.push(fieldProblem('limit', `must be a whole number from 1 to ${MOST_TOLD}.`))
  return { by: by ?? 'used', limit: DEFAULT_LIMIT }
}

function readCounter(written: unknown, problems: Problem[]): CounterAddress | undefined {
  const counter = isJsonObject(written) ? written : {}
  problems.push(...unknownFields(counter, COUNTER_FIELDS, 'counter.'))
  const { handler, quota, dimensions = {}, domain, entries } = counter
  if (typeof domain === 'string' && Array.isArray(entries) && entries.length > 0 && entries.every(isEntry))
    return { domain, entries }
  const isOfHandler = typeof handler === 'string' && typeof quota === 'string' && isJsonObject(dimensions)
  if (isOfHandler && Object.values(dimensions).every((value) => typeof value === 'string'))
    return { handler, quota, dimensions: dimensions as Readonly<Record<string, string>> }
  const forms = '{"handler", "quota", "dimensions": {"key": "alice"}} or {"domain", "entries": [{"key", "value"}]}'
  problems.push(fieldProblem('counter', `says which counter, in strings: ${forms}.`))
  return undefined
}

function isEntry(value: unknown): value is DescriptorEntry {
  return isJsonObject(value) && typeof value['key'] === 'string' && typeof value['value'] === 'string'
}
