// The front door for Envoy's external authorization (gRPC, v3): one call before each request or connection.

import { toBinary } from '@bufbuild/protobuf'
import { IntermixError } from '../kernel/errors.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import { DEFAULT_LIMITS, type RequestLimits } from '../kernel/request-limits.ts'
import type { CheckOutcome } from '../kernel/services.ts'
import { describedCheckBag, sentHeader } from '../wire/envoy-attributes.ts'
import { EnvoyCheck } from '../wire/envoy-check.ts'
import { CheckResponseSchema } from '../wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { timeoutOf } from './deadline.ts'
import type { DoorDependencies } from './door-dependencies.ts'
import { createDoorMetrics } from './door-metrics.ts'
import { checkResponseOf } from './ext-authz-response.ts'
import { callerError, createFailureLog } from './failure-log.ts'
import { type GrpcCall, GrpcFailure, type GrpcReply, type GrpcService } from './grpc-service.ts'
import { refusalAnswer } from './refusal-answer.ts'
import { createRefusals } from './refusals.ts'

const NAME = 'envoy.service.auth.v3.Authorization'
const DOOR = 'ext_authz'
const MAX_DETAILS = 1_000

type ExtAuthzDependencies = Omit<DoorDependencies, 'report' | 'random' | 'nodeId'>

/**
 * The Authorization service. What policy denies is denied in an OK call, and so is a request that is refused for what it
 * is; only the node's own failure, and bytes that are no request, fail the call, and so meet the failure mode that the
 * proxy's operator chose.
 */
export function extAuthzService(dependencies: ExtAuthzDependencies): GrpcService {
  const { check, clock, meter, defaultTimeoutMs, limits = DEFAULT_LIMITS } = dependencies
  const metrics = createDoorMetrics({ meter, clock, door: DOOR })
  const logFailure = createFailureLog(dependencies)

  const refused = createRefusals({ ...dependencies, door: DOOR })

  const answer = (bytes: Uint8Array, call: GrpcCall): GrpcReply | Promise<GrpcReply> => {
    const startedAt = clock.monotonic()
    let request: EnvoyCheck | undefined
    const fail = (caught: unknown): GrpcReply => {
      const error = callerError(caught)
      refused(error, call.peer)
      const refusal = error instanceof UnreadableMessage ? undefined : refusalAnswer(error)
      if (refusal !== undefined) return finish({ answer: refusal, quotas: new Map() })
      if (error.code === 'INTERNAL' || error.code === 'INVALID_ATTRIBUTE')
        logFailure(caught, 'an ext_authz call failed')
      const { code } = error.status
      metrics.finished(code, startedAt)
      // A header carries the message: bounded, and without halves of surrogate pairs.
      return new GrpcFailure(code, error.message.slice(0, MAX_DETAILS).toWellFormed())
    }
    const finish = ({ answer: verdict }: CheckOutcome): GrpcReply => {
      const response = checkResponseOf(verdict, (header) => request !== undefined && sentHeader(request, header))
      const encoded = toBinary(CheckResponseSchema, response)
      metrics.finished(verdict.status.code, startedAt)
      return encoded
    }
    try {
      const timeoutMs = timeoutOf(call.deadline, clock.now(), defaultTimeoutMs)
      if (timeoutMs === 0)
        throw new IntermixError('DEADLINE_EXCEEDED', 'the deadline has passed before the check began')
      request = readRequest(bytes, limits)
      const outcome = check.check(describedCheckBag(request, check.vocabulary()), { timeoutMs, references: false })
      return outcome instanceof Promise ? outcome.then(finish).catch(fail) : finish(outcome)
    } catch (caught) {
      return fail(caught)
    }
  }
  return {
    name: NAME,
    methods: [{ kind: 'unary', path: `/${NAME}/Check`, door: { name: DOOR, priority: 'check' }, answer }],
  }
}

/** Bytes that are no message of this service: whoever sent them is no proxy of ours. */
class UnreadableMessage extends IntermixError {}

function readRequest(bytes: Uint8Array, limits: RequestLimits): EnvoyCheck {
  try {
    return new EnvoyCheck(bytes, limits)
  } catch (caught) {
    if (caught instanceof RefusedRequest) throw caught
    const reason = caught instanceof Error ? caught.message : String(caught)
    throw new UnreadableMessage('INVALID_REQUEST', `not a CheckRequest: ${reason}`)
  }
}
