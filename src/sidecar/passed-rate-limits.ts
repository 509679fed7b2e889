// The front door for Envoy's rate limit filter at a sidecar: a node decides. Demand and answer pass as the bytes that they are.

import type { Nodes } from '../client/nodes/nodes.ts'
import { RATE_LIMIT_REMEMBERED_TOTAL } from '../kernel/metrics/quotas.ts'
import type { Clock, Counter, Logger, Meter } from '../kernel/ports.ts'
import { DEFAULT_LIMITS, type RequestLimits } from '../kernel/request-limits.ts'
import { Code } from '../kernel/status.ts'
import { timeLeft } from '../server/deadline.ts'
import { createDoorMetrics, type DoorMetrics } from '../server/door-metrics.ts'
import { createFailedCalls } from '../server/failed-calls.ts'
import { type GrpcCall, type GrpcReply, type GrpcService } from '../server/grpc-service.ts'
import { readRateLimitRequest } from '../wire/rate-limit-request.ts'
import { isRefusal, RefusedDemands } from './refused-demands.ts'

const NAME = 'envoy.service.ratelimit.v3.RateLimitService'
const PATH = `/${NAME}/ShouldRateLimit`
const DOOR = 'rate_limit'

export interface PassedRateLimitsOptions {
  readonly nodes: Pick<Nodes, 'call'>
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** How long a demand may take whose caller sets no deadline, in ms. */
  readonly defaultTimeoutMs: number
  readonly limits?: RequestLimits
}

/**
 * The RateLimitService of the nodes. What none of them answers in time fails the call, and so meets the failure mode that the
 * proxy's operator chose. A demand that is tried at a second node may count twice.
 */
export function passedRateLimits(options: PassedRateLimitsOptions): GrpcService {
  const door = new Door(options)
  return {
    name: NAME,
    methods: [
      {
        kind: 'unary',
        path: PATH,
        door: { name: DOOR, priority: 'check' },
        answer: (bytes, call) => door.answer(bytes, call),
      },
    ],
  }
}

class Door {
  readonly #options: PassedRateLimitsOptions
  readonly #metrics: DoorMetrics
  readonly #remembered: Counter
  readonly #fail: ReturnType<typeof createFailedCalls>
  readonly #demands = new RefusedDemands()

  constructor(options: PassedRateLimitsOptions) {
    this.#options = options
    this.#metrics = createDoorMetrics({ ...options, door: DOOR })
    this.#remembered = options.meter.counter(RATE_LIMIT_REMEMBERED_TOTAL)()
    const message = 'a call of the rate limit service failed'
    this.#fail = createFailedCalls({ ...options, door: DOOR, metrics: this.#metrics, message })
  }

  answer(bytes: Uint8Array, call: GrpcCall): GrpcReply | Promise<GrpcReply> {
    const startedAt = this.#options.clock.monotonic()
    const demand = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
    const known = this.#demands.find(demand, startedAt)
    if (known === undefined) return this.#ask(bytes, demand, startedAt, call)
    this.#remembered.add()
    this.#metrics.finished(Code.RESOURCE_EXHAUSTED, startedAt, startedAt)
    return known
  }

  async #ask(bytes: Uint8Array, affinity: string, startedAt: number, call: GrpcCall): Promise<GrpcReply> {
    const { nodes, clock, defaultTimeoutMs, limits = DEFAULT_LIMITS } = this.#options
    try {
      const timeoutMs = timeLeft(call.deadline, clock, defaultTimeoutMs)
      const { domain } = readRateLimitRequest(bytes, limits)
      const response = await nodes.call(PATH, bytes, { affinity, tenant: domain, timeoutMs })
      this.#demands.add(affinity, response, startedAt)
      this.#metrics.finished(isRefusal(response) ? Code.RESOURCE_EXHAUSTED : Code.OK, startedAt)
      return response
    } catch (caught) {
      return this.#fail(caught, startedAt, call.peer)
    }
  }
}
