// The front door for Envoy's external authorization (gRPC, v3): one call before each request or connection.

import { IntermixError } from '../kernel/errors.ts'
import { DEFAULT_LIMITS, type RequestLimits } from '../kernel/request-limits.ts'
import type { CheckOutcome } from '../kernel/services.ts'
import { describedCheckBag } from '../wire/envoy-attributes.ts'
import { type EnvoyCheck, readEnvoyCheck, UnreadableCheck } from '../wire/envoy-check.ts'
import { timeoutOf } from './deadline.ts'
import type { DoorDependencies } from './door-dependencies.ts'
import { createDoorMetrics, type DoorMetrics } from './door-metrics.ts'
import { encodeCheckResponse } from './ext-authz-response.ts'
import { failureOf } from './failed-calls.ts'
import { callerError, createFailureLog } from './failure-log.ts'
import { type GrpcCall, type GrpcReply, type GrpcService } from './grpc-service.ts'
import { refusalAnswer } from '../kernel/refusal-answer.ts'
import { createRefusals } from './refusals.ts'

const NAME = 'envoy.service.auth.v3.Authorization'
const DOOR = 'ext_authz'

type ExtAuthzDependencies = Omit<DoorDependencies, 'report' | 'random' | 'nextBatchId'>

/**
 * The Authorization service. What policy denies is denied in an OK call, and so is a request that is refused for what it
 * is; only the node's own failure, and bytes that are no request, fail the call, and so meet the failure mode that the
 * proxy's operator chose.
 */
export function extAuthzService(dependencies: ExtAuthzDependencies): GrpcService {
  const door = new AuthzDoor(dependencies)
  return {
    name: NAME,
    methods: [
      {
        kind: 'unary',
        path: `/${NAME}/Check`,
        door: { name: DOOR, priority: 'check' },
        answer: (bytes, call) => door.check(bytes, call),
      },
    ],
  }
}

class AuthzDoor {
  readonly #given: ExtAuthzDependencies
  readonly #limits: RequestLimits
  readonly #metrics: DoorMetrics
  readonly #logFailure: (caught: unknown, message: string) => void
  readonly #refused: ReturnType<typeof createRefusals>

  constructor(given: ExtAuthzDependencies) {
    this.#given = given
    this.#limits = given.limits ?? DEFAULT_LIMITS
    this.#metrics = createDoorMetrics({ ...given, door: DOOR })
    this.#logFailure = createFailureLog(given)
    this.#refused = createRefusals({ ...given, door: DOOR })
  }

  check(bytes: Uint8Array, call: GrpcCall): GrpcReply | Promise<GrpcReply> {
    const { check, clock, defaultTimeoutMs } = this.#given
    const startedAt = clock.monotonic()
    let request: EnvoyCheck | undefined
    try {
      const timeoutMs = timeoutOf(call.deadline, clock, defaultTimeoutMs)
      if (timeoutMs === 0)
        throw new IntermixError('DEADLINE_EXCEEDED', 'the deadline has passed before the check began')
      request = readEnvoyCheck(bytes, this.#limits)
      const options = { timeoutMs, startedAt, references: false }
      const outcome = check.check(describedCheckBag(request, check.vocabulary()), options)
      return outcome instanceof Promise
        ? this.#answerLater(outcome, request, startedAt, call)
        : this.#answer(outcome, request, startedAt)
    } catch (caught) {
      return this.#fail(caught, request, startedAt, call)
    }
  }

  async #answerLater(
    pending: Promise<CheckOutcome>,
    request: EnvoyCheck,
    startedAt: number,
    call: GrpcCall,
  ): Promise<GrpcReply> {
    try {
      return this.#answer(await pending, request, startedAt)
    } catch (caught) {
      return this.#fail(caught, request, startedAt, call)
    }
  }

  #answer({ answer, answeredAt }: CheckOutcome, request: EnvoyCheck | undefined, startedAt: number): GrpcReply {
    const encoded = encodeCheckResponse(answer, request)
    this.#metrics.finished(answer.status.code, startedAt, answeredAt)
    return encoded
  }

  #fail(caught: unknown, request: EnvoyCheck | undefined, startedAt: number, call: GrpcCall): GrpcReply {
    const error = callerError(caught)
    this.#refused(error, call.peer)
    const refusal = error instanceof UnreadableCheck ? undefined : refusalAnswer(error)
    if (refusal !== undefined) return this.#answer({ answer: refusal, quotas: new Map() }, request, startedAt)
    if (error.code === 'INTERNAL' || error.code === 'INVALID_ATTRIBUTE')
      this.#logFailure(caught, 'an ext_authz call failed')
    this.#metrics.finished(error.status.code, startedAt)
    return failureOf(error)
  }
}
