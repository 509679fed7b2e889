// What operators ask of a node over HTTP: to revoke cached verdicts, and to explain a check.

import { readTarget, type RevocationReceipt } from '../cache/revocation-service.ts'
import type { RevocationTarget } from '../cache/revocations.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { readCheckBody } from './check-body.ts'
import type { Route, RouteDependencies } from './http-route.ts'

export interface OperatorDependencies extends Pick<RouteDependencies, 'check' | 'defaultTimeoutMs'> {
  readonly revoke: (target: RevocationTarget) => Promise<RevocationReceipt>
  readonly explain: (bag: AttributeBag, timeoutMs: number) => Promise<object>
}

/** `POST /v1/revocations`: 200 when every live node has confirmed, 202 when some have not; the body names both. */
export function revocationsRoute({ revoke }: OperatorDependencies): Route {
  return (app) => {
    app.post('/v1/revocations', async (request, reply) => {
      const receipt = await revoke(readTarget(request.body))
      return await reply.code(receipt.unconfirmed.length === 0 ? 200 : 202).send(receipt)
    })
  }
}

/** `POST /v1/explain`: takes the body of a check. */
export function explainRoute({ check, explain, defaultTimeoutMs }: OperatorDependencies): Route {
  return (app) => {
    app.post('/v1/explain', (request) => {
      const { bag, options } = readCheckBody(request.body, check.vocabulary(), defaultTimeoutMs)
      return explain(bag, options.timeoutMs)
    })
  }
}
