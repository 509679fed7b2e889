// The front door for Envoy's rate limit filter (gRPC, v3).

import { IntermixError } from '../kernel/errors.ts'
import type { RateLimitAnswer, RateLimitDemand } from '../kernel/rate-limit.ts'
import { DEFAULT_LIMITS } from '../kernel/request-limits.ts'
import { Code } from '../kernel/status.ts'
import { readRateLimitRequest } from '../wire/rate-limit-request.ts'
import { timeoutOf } from './deadline.ts'
import type { DoorDependencies, RateLimitDoor } from './door-dependencies.ts'
import { createDoorMetrics, type DoorMetrics } from './door-metrics.ts'
import { callerError, createFailureLog } from './failure-log.ts'
import { type GrpcCall, GrpcFailure, type GrpcReply, type GrpcService } from './grpc-service.ts'
import { encodeRateLimitResponse } from './rate-limit-response.ts'
import { createRefusals } from './refusals.ts'

const NAME = 'envoy.service.ratelimit.v3.RateLimitService'
const DOOR = 'rate_limit'
const MAX_DETAILS = 1_000

type RateLimitDependencies = Omit<DoorDependencies, 'check' | 'report' | 'random' | 'nextBatchId'> & {
  readonly rateLimit: RateLimitDoor
}

/**
 * The RateLimitService. Being over a limit is an answer; what is no demand and what the node cannot tell fail the call, and
 * so meet the failure mode that the proxy's operator chose. Series of metrics count refusals as RESOURCE_EXHAUSTED.
 */
export function rateLimitService(given: RateLimitDependencies): GrpcService {
  const door = new Door(given)
  return {
    name: NAME,
    methods: [
      {
        kind: 'unary',
        path: `/${NAME}/ShouldRateLimit`,
        door: { name: DOOR, priority: 'check' },
        answer: (bytes, call) => door.answer(bytes, call),
      },
    ],
  }
}

class Door {
  readonly #given: RateLimitDependencies
  readonly #metrics: DoorMetrics
  readonly #logFailure: (caught: unknown, message: string) => void
  readonly #refused: ReturnType<typeof createRefusals>

  constructor(given: RateLimitDependencies) {
    this.#given = given
    this.#metrics = createDoorMetrics({ ...given, door: DOOR })
    this.#logFailure = createFailureLog(given)
    this.#refused = createRefusals({ ...given, door: DOOR })
  }

  answer(bytes: Uint8Array, call: GrpcCall): GrpcReply | Promise<GrpcReply> {
    const { clock, defaultTimeoutMs, limits = DEFAULT_LIMITS, rateLimit } = this.#given
    const startedAt = clock.monotonic()
    try {
      const timeoutMs = timeoutOf(call.deadline, clock, defaultTimeoutMs)
      if (timeoutMs === 0) throw new IntermixError('DEADLINE_EXCEEDED', 'the deadline has passed before the call began')
      const demand = readRateLimitRequest(bytes, limits)
      const answer = rateLimit.service.shouldRateLimit(demand, { timeoutMs })
      return answer instanceof Promise
        ? this.#later(answer, demand, startedAt, call)
        : this.#encode(answer, demand, startedAt)
    } catch (caught) {
      return this.#fail(caught, startedAt, call)
    }
  }

  async #later(
    pending: Promise<RateLimitAnswer>,
    demand: RateLimitDemand,
    startedAt: number,
    call: GrpcCall,
  ): Promise<GrpcReply> {
    try {
      return this.#encode(await pending, demand, startedAt)
    } catch (caught) {
      return this.#fail(caught, startedAt, call)
    }
  }

  #encode(answer: RateLimitAnswer, demand: RateLimitDemand, startedAt: number): GrpcReply {
    const { headers, metadata } = this.#given.rateLimit
    const encoded = encodeRateLimitResponse(answer, headers, metadata === true ? demand : undefined)
    this.#metrics.finished(answer.isOver ? Code.RESOURCE_EXHAUSTED : Code.OK, startedAt)
    return encoded
  }

  #fail(caught: unknown, startedAt: number, call: GrpcCall): GrpcFailure {
    const error = callerError(caught)
    this.#refused(error, call.peer)
    if (error.code === 'INTERNAL') this.#logFailure(caught, 'a call of the rate limit service failed')
    const { code } = error.status
    this.#metrics.finished(code, startedAt)
    return new GrpcFailure(code, error.message.slice(0, MAX_DETAILS).toWellFormed())
  }
}
