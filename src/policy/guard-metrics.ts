// The metrics of one handler's guard, their labels resolved once.

import type { Counter, Gauge, Histogram, Meter } from '../kernel/ports.ts'
import type { BreakerState } from './circuit-breaker.ts'

const OUTCOMES = ['ok', 'failed', 'timeout', 'stalled', 'cancelled', 'overloaded', 'throttled', 'open'] as const

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
    const calls = meter.counter({
      name: 'handler_calls_total',
      help: 'Calls of a handler, by how they ended',
      labels: ['handler', 'outcome'],
    })
    const entries = OUTCOMES.map((outcome) => [outcome, calls(handler, outcome)] as const)
    this.#calls = Object.fromEntries(entries) as Record<GuardOutcome, Counter>
    this.#duration = meter.histogram({
      name: 'handler_duration_seconds',
      help: 'Duration of the handler calls that had to be awaited, retries included',
      labels: ['handler'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    })(handler)
    const state = { name: 'handler_breaker_state', help: '0 closed, 1 half open, 2 open', labels: ['handler'] }
    this.#breaker = meter.gauge(state)(handler)
    const limit = { name: 'handler_concurrency_limit', help: 'Calls a handler may have in flight', labels: ['handler'] }
    this.#limit = meter.gauge(limit)(handler)
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
