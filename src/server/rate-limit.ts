// The front door for Envoy's rate limit filter (gRPC, v3).

import type { RateLimitAnswer, RateLimitDemand } from '../kernel/rate-limit.ts'
import { DEFAULT_LIMITS } from '../kernel/request-limits.ts'
import { Code } from '../kernel/status.ts'
import { readRateLimitRequest } from '../wire/rate-limit-request.ts'
import { timeLeft } from './deadline.ts'
import type { DoorDependencies, RateLimitDoor } from './door-dependencies.ts'
import { createDoorMetrics, type DoorMetrics } from './door-metrics.ts'
import { createFailedCalls } from './failed-calls.ts'
import { type GrpcCall, type GrpcReply, type GrpcService } from './grpc-service.ts'
import { encodeRateLimitResponse } from './rate-limit-response.ts'

const NAME = 'envoy.service.ratelimit.v3.RateLimitService'
const DOOR = 'rate_limit'

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
  readonly #fail: ReturnType<typeof createFailedCalls>

  constructor(given: RateLimitDependencies) {
    this.#given = given
    this.#metrics = createDoorMetrics({ ...given, door: DOOR })
    const message = 'a call of the rate limit service failed'
    this.#fail = createFailedCalls({ ...given, door: DOOR, metrics: this.#metrics, message })
  }

  answer(bytes: Uint8Array, call: GrpcCall): GrpcReply | Promise<GrpcReply> {
    const { clock, defaultTimeoutMs, limits = DEFAULT_LIMITS, rateLimit } = this.#given
    const startedAt = clock.monotonic()
    try {
      const timeoutMs = timeLeft(call.deadline, clock, defaultTimeoutMs)
      const demand = readRateLimitRequest(bytes, limits)
      const answer = rateLimit.service.shouldRateLimit(demand, { timeoutMs })
      return answer instanceof Promise
        ? this.#later(answer, demand, startedAt, call)
        : this.#encode(answer, demand, startedAt)
    } catch (caught) {
      return this.#fail(caught, startedAt, call.peer)
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
      return this.#fail(caught, startedAt, call.peer)
    }
  }

  #encode(answer: RateLimitAnswer, demand: RateLimitDemand, startedAt: number): GrpcReply {
    const { headers, metadata } = this.#given.rateLimit
    const encoded = encodeRateLimitResponse(answer, headers, metadata === true ? demand : undefined)
    this.#metrics.finished(answer.isOver ? Code.RESOURCE_EXHAUSTED : Code.OK, startedAt)
    return encoded
  }
}
