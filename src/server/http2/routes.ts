// The methods by path, with all that is known of them before a call comes.

import type { Admission, Refusal } from '../admission.ts'
import { gateOf, type MethodGate } from '../grpc-gate.ts'
import type { GrpcMethod, GrpcService } from '../grpc-service.ts'
import { failureOnly } from './replies.ts'

export interface Route {
  readonly method: GrpcMethod
  readonly gate: MethodGate | undefined
  /** What a call that is not let in gets, ready to be sent. */
  readonly refusals: Readonly<Record<Refusal, Buffer>> | undefined
  /** Whether what is kept of messages outlives the call: then they must not keep alive what else was read with them. */
  readonly keepsMessages: boolean
}

export function routesOf(services: readonly GrpcService[], admission: Admission): ReadonlyMap<string, Route> {
  const routes = new Map<string, Route>()
  for (const method of services.flatMap(({ methods }) => methods)) {
    const gate = gateOf(admission, method)
    routes.set(method.path, {
      method,
      gate,
      refusals: gate && {
        overload: failureOnly(gate.failures.overload),
        in_flight: failureOnly(gate.failures.in_flight),
        deadline: failureOnly(gate.failures.deadline),
      },
      keepsMessages: method.kind === 'stream' || method.door?.priority === 'report',
    })
  }
  return routes
}
