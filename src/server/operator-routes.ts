// What operators ask of a node over HTTP: to revoke cached verdicts, and to explain a check.

import { readTarget } from '../cache/revocation-log.ts'
import type { RevocationReceipt } from '../cache/revocation-service.ts'
import type { RevocationTarget } from '../cache/revocations.ts'
import { suggest } from '../config/suggest.ts'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import type { Problem } from '../kernel/problem.ts'
import { readCheckBody } from './check-body.ts'
import { RequestProblems } from './json-error.ts'
import type { BoundedRouteDependencies, Route } from './http-route.ts'

export interface OperatorDependencies extends Pick<BoundedRouteDependencies, 'check' | 'defaultTimeoutMs' | 'limits'> {
  /** Full names of the handlers of the config in use. */
  readonly handlers: () => Iterable<string>
  readonly revoke: (target: RevocationTarget) => Promise<RevocationReceipt>
  readonly explain: (bag: AttributeBag, timeoutMs: number) => Promise<object>
}

/**
 * `POST /v1/revocations`: 200 when every live node has confirmed, 202 when some have not; the body names both. 400 where
 * the target names nothing that there is: an operator who has mistyped must not believe that something is void.
 */
export function revocationsRoute(
  operator: Omit<OperatorDependencies, 'defaultTimeoutMs' | 'limits' | 'explain'>,
): Route {
  const { check, handlers, revoke } = operator
  return (app) => {
    app.post('/v1/revocations', async (request, reply) => {
      const target = readTarget(request.body)
      const problems = problemsOf(target, check.vocabulary(), handlers)
      if (problems.length > 0) throw new RequestProblems('nothing was revoked', problems)
      const receipt = await revoke(target)
      return await reply.code(receipt.unconfirmed.length === 0 ? 200 : 202).send(receipt)
    })
  }
}

/** `POST /v1/explain`: takes the body of a check. */
export function explainRoute(options: OperatorDependencies): Route {
  const { check, explain } = options
  return (app) => {
    app.post('/v1/explain', (request) => {
      const asked = readCheckBody(request.body, check.vocabulary(), options)
      return explain(asked.bag, asked.options.timeoutMs)
    })
  }
}

function problemsOf(target: RevocationTarget, vocabulary: Vocabulary, handlers: () => Iterable<string>): Problem[] {
  if (target.kind === 'all') return []
  if (target.kind === 'handler') {
    const names = new Set(handlers())
    if (names.has(target.handler)) return []
    return [problem('handler', `no handler is called ${quoted(target.handler)}.${suggest(target.handler, names)}`)]
  }
  const { name, key } = target
  const type = vocabulary.get(name)
  if (type === undefined) {
    const hint = suggest(name, vocabulary.keys())
    return [problem('name', `no attribute manifest has the attribute ${quoted(name)}.${hint}`)]
  }
  if (type === 'STRING_MAP' && key === undefined) return [problem('key', `${name} is a map; say which key of it.`)]
  if (type !== 'STRING_MAP' && key !== undefined) return [problem('key', `${name} is no map and has no keys.`)]
  return []
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 200))
}

function problem(path: string, message: string): Problem {
  return { severity: 'error', code: 'invalid-field', file: '', line: 0, column: 0, path, message }
}
