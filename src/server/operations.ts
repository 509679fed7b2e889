// What operators ask of a node: to revoke cached verdicts, and to explain a check.

import { readTarget } from '../cache/revocation-log.ts'
import type { RevocationReceipt } from '../cache/revocation-service.ts'
import type { RevocationTarget } from '../kernel/revocation.ts'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Operation, OperationReply, OperationRequest } from '../kernel/operation.ts'
import type { Logger } from '../kernel/ports.ts'
import { fieldProblem, type Problem } from '../kernel/problem.ts'
import { httpStatusOf } from '../kernel/status.ts'
import { suggest } from '../kernel/suggest.ts'
import { readCheckBody } from './check-body.ts'
import { callerError } from './failure-log.ts'
import type { ExplainScope } from '../policy/explain.ts'
import type { RouteDependencies } from './http-route.ts'
import { parseJsonBody } from './json-body.ts'
import { errorBody, RequestProblems } from './json-error.ts'
import { HEADER_MAPS } from '../wire/request-headers.ts'

export interface OperatorDependencies extends Pick<RouteDependencies, 'check' | 'defaultTimeoutMs' | 'limits'> {
  /** Full names of the handlers of the config in use. */
  readonly handlers: () => Iterable<string>
  readonly revoke: (target: RevocationTarget) => Promise<RevocationReceipt>
  readonly explain: (bag: AttributeBag, timeoutMs: number, scope: ExplainScope) => Promise<object>
  readonly log: Logger
}

const MAX_RULES = 1_000

/**
 * `revocations`: 200 when every live node has confirmed, and who keeps its answers, 202 when some have not; the body counts all, and names them. 400 where the target
 * names nothing that there is: an operator who has mistyped must not believe that something is void.
 */
export function revocationsOperation(operator: Omit<OperatorDependencies, 'explain'>): Operation {
  const { check, handlers, revoke } = operator
  return answering(operator, async ({ body }) => {
    const target = byHeaderName(readTarget(parseJsonBody(body, { uniqueNames: true })))
    const problems = problemsOf(target, check.vocabulary(), handlers)
    if (problems.length > 0) throw new RequestProblems('nothing was revoked', problems)
    const receipt = await revoke(target)
    return { httpStatus: receipt.counts.unconfirmed + receipt.counts.callers === 0 ? 200 : 202, body: receipt }
  })
}

/** `explain`: takes the body of a check, and how many rules to show (`?limit=`) or the one to show (`?rule=`). */
export function explainOperation(operator: Omit<OperatorDependencies, 'revoke' | 'handlers'>): Operation {
  const { check, explain } = operator
  return answering(operator, async ({ body, query }) => {
    const limit = readLimit(query['limit'])
    const asked = readCheckBody(parseJsonBody(body, { uniqueNames: true }), check.vocabulary(), operator)
    const rule = typeof query['rule'] === 'string' ? query['rule'] : undefined
    return {
      httpStatus: 200,
      body: await explain(asked.bag, asked.options.timeoutMs, { ...(limit === undefined ? {} : { limit }), rule }),
    }
  })
}

/** Failures as replies, in the form of the HTTP API; a bug is logged and not told. */
export function answering(
  { log, limits }: Pick<OperatorDependencies, 'log' | 'limits'>,
  run: (request: OperationRequest) => Promise<OperationReply>,
): Operation {
  return async (request) => {
    try {
      if (request.body.length > limits.maxAttributeBytes)
        throw new IntermixError('INVALID_REQUEST', `the body has more than ${limits.maxAttributeBytes} bytes`)
      return await run(request)
    } catch (caught) {
      const error = callerError(caught)
      if (error.code === 'INTERNAL') log.error({ err: caught }, 'what an operator asked for failed')
      return { httpStatus: httpStatusOf(error.status.code), body: errorBody(error) }
    }
  }
}

function readLimit(written: unknown): number | undefined {
  if (written === undefined) return undefined
  const limit = typeof written === 'string' && /^\d{1,4}$/.test(written) ? Number(written) : 0
  if (limit >= 1 && limit <= MAX_RULES) return limit
  throw new RequestProblems('the question is not valid', [
    fieldProblem('limit', `must be a number of rules from 1 to ${MAX_RULES}.`),
  ])
}

/** Verdicts depended on headers by their names in lower case. */
function byHeaderName(target: RevocationTarget): RevocationTarget {
  if (target.kind !== 'attribute' || !HEADER_MAPS.has(target.name)) return target
  return { ...target, key: target.key?.toLowerCase() }
}

function problemsOf(target: RevocationTarget, vocabulary: Vocabulary, handlers: () => Iterable<string>): Problem[] {
  if (target.kind === 'all') return []
  if (target.kind === 'handler') {
    const names = new Set(handlers())
    if (names.has(target.handler)) return []
    return [fieldProblem('handler', `no handler is called ${quoted(target.handler)}.${suggest(target.handler, names)}`)]
  }
  const { name, key } = target
  const type = vocabulary.get(name)
  if (type === undefined) {
    const hint = suggest(name, vocabulary.keys())
    return [fieldProblem('name', `no attribute manifest has the attribute ${quoted(name)}.${hint}`)]
  }
  if (type === 'STRING_MAP' && key === undefined) return [fieldProblem('key', `${name} is a map; say which key of it.`)]
  if (type !== 'STRING_MAP' && key !== undefined) return [fieldProblem('key', `${name} is no map and has no keys.`)]
  return []
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 200))
}
