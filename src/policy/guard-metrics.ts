// The metrics of one handler's guard, their labels resolved once.

import {
  HANDLER_BREAKER_STATE,
  HANDLER_CALLS_TOTAL,
  HANDLER_CONCURRENCY_LIMIT,
  HANDLER_DURATION_SECONDS,
} from '../kernel/metrics/handlers.ts'
import type { Counter, Gauge, Histogram, Meter } from '../kernel/ports.ts'
import type { BreakerState } from './circuit-breaker.ts'

const OUTCOMES = HANDLER_CALLS_TOTAL.labels.outcome

/** How a call ended. `stalled`: timed out while this process stood still. The last three were never made. */
export type GuardOutcome = (typeof OUTCOMES)[number]

const STATE_VALUES: Readonly<Record<BreakerState, number>> = { closed: 0, 'half-open': 1, open: 2 }

export class GuardMetrics {
  readonly #calls: Readonly<Record<GuardOutcome, Counter>>
  readonly #duration: Histogram
  readonly #breaker: Gauge
  readonly #limit: Gauge
  #lastLimit = -1

  constructor(meter: Meter, handler: string) {
    const calls = meter.counter(HANDLER_CALLS_TOTAL)
    const entries = OUTCOMES.map((outcome) => [outcome, calls({ handler, outcome })] as const)
    this.#calls = Object.fromEntries(entries) as Record<GuardOutcome, Counter>
    this.#duration = meter.histogram(HANDLER_DURATION_SECONDS)({ handler })
    this.#breaker = meter.gauge(HANDLER_BREAKER_STATE)({ handler })
    this.#limit = meter.gauge(HANDLER_CONCURRENCY_LIMIT)({ handler })
    this.breaker('closed')
  }

  count(outcome: GuardOutcome): void {
    this.#calls[outcome].add()
  }

  duration(ms: number): void {
    this.#duration.observe(ms / 1_000)
  }

  breaker(state: BreakerState): void {
    this.#breaker.set(STATE_VALUES[state])
  }

  limit(current: number): void {
    if (current === this.#lastLimit) return
    this.#lastLimit = current
    this.#limit.set(current)
  }
}
