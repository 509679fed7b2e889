// Stands between Intermix and an adapter: whatever the adapter does, the caller gets a value or an error in time.

import type { CallContext } from '../adapter-kit/define-adapter.ts'
import { IntermixError } from '../kernel/errors.ts'
import { onExpiry } from '../kernel/deadline.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import { BackendHealth } from './backend-health.ts'
import { failureOf } from './guard-failure.ts'
import { GuardMetrics } from './guard-metrics.ts'
import { GuardedCall, type GuardState } from './guarded-call.ts'
import { LazyCallContext } from './lazy-call-context.ts'
import { type PlaceLimits, Places } from './places.ts'
import { RetryBudget } from './retry-budget.ts'

export interface GuardOptions {
  /** `timeoutMs` bounds each call, whatever its caller allows. */
  readonly handler: { readonly name: string; readonly timeoutMs: number }
  readonly clock: Clock
  readonly random: Random
  readonly meter: Meter
  readonly log: Logger
  readonly limits?: PlaceLimits
}

export interface RunOptions {
  /** Monotonic milliseconds at which the caller gives up. */
  readonly deadline: number
  /** Whether one more attempt may be made after a failure that it could mend. Default true. */
  readonly retry?: boolean
  /**
   * A hash of what is asked, where asking the same again is likely to end the same: keys that fail are kept from taking
   * the backend from others.
   */
  readonly key?: string
}

/** A guard keeps the state of one handler: share it between all calls of that handler. */
export interface Guard {
  /**
   * Calls the adapter. A plain value is handed back at once. Throws or rejects with an `IntermixError` only:
   * `BACKEND_FAILED` (also while the backend is not asked), `BACKEND_REFUSED`, `REDIS_UNAVAILABLE`, `DEADLINE_EXCEEDED`,
   * `OVERLOADED` or, where the adapter says so, `CANCELLED`. A promise always settles by the deadline; what comes later
   * is ignored.
   */
  run<T>(call: (context: CallContext) => T | Promise<T>, options: RunOptions): T | Promise<T>
  /** Whether a call would be let through now, as far as the breaker is concerned. */
  healthy(): boolean
}

/** Builds the guard of a handler. */
export function createGuard(options: GuardOptions): Guard {
  return new HandlerGuard(options)
}

/**
 * Whether a value has to be awaited, promises of other realms and libraries included. Throws what a `then` that is a
 * getter throws.
 */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

const LEAST_TIME_MS = 1

class HandlerGuard implements Guard {
  readonly #state: GuardState

  constructor({ handler, clock, random, meter, log, limits = {} }: GuardOptions) {
    const { name, timeoutMs } = handler
    const metrics = new GuardMetrics(meter, name)
    const health = new BackendHealth({
      clock,
      random,
      log: log.child({ handler: name }),
      onBreaker: (state) => metrics.breaker(state),
    })
    const places = new Places(limits, health, metrics)
    this.#state = { name, timeoutMs, clock, random, health, places, budget: new RetryBudget(clock), metrics }
  }

  healthy(): boolean {
    return this.#state.health.permits()
  }

  run<T>(call: (context: CallContext) => T | Promise<T>, options: RunOptions): T | Promise<T> {
    const { clock, health, places, timeoutMs } = this.#state
    const now = clock.monotonic()
    const deadline = Math.min(options.deadline, now + timeoutMs)
    // Written so that a deadline that is no number refuses, too.
    if (!(deadline - now >= LEAST_TIME_MS)) throw this.#refuse('timeout', 'DEADLINE_EXCEEDED', 'had no time left')
    if (!health.permits(options.key) && !health.probing) throw this.#breakerOpen()
    if (places.isHung) throw this.#refuse('overloaded', 'OVERLOADED', 'has too many hung calls')
    if (!health.admits(options.key))
      throw this.#refuse('throttled', 'BACKEND_FAILED', 'is asked less: most of its calls fail')
    const bounded = { ...options, deadline }
    return places.isFree ? this.#begin(call, bounded) : this.#wait(call, bounded)
  }

  #begin<T>(call: (context: CallContext) => T | Promise<T>, options: RunOptions): T | Promise<T> {
    const { budget, health, metrics, name, places } = this.#state
    const attempt = health.acquire(options.key)
    if (attempt === undefined) throw this.#breakerOpen()
    const context = new LazyCallContext(options.deadline)
    places.take()
    budget.call()
    let result: T | Promise<T>
    let isPending: boolean
    try {
      result = call(context)
      isPending = isThenable(result)
    } catch (error) {
      // Nothing was awaited, so nothing was learnt about the backend: one odd request must not shut out the others.
      health.settle(attempt, 'neutral')
      places.leave()
      metrics.count('failed')
      throw failureOf(error, name)
    }
    if (!isPending) {
      health.settle(attempt, 'neutral')
      places.leave()
      metrics.count('ok')
      return result
    }
    return new GuardedCall(this.#state, { call, context, options }).start(attempt, result as Promise<T>)
  }

  #wait<T>(call: (context: CallContext) => T | Promise<T>, options: RunOptions): Promise<T> {
    const { clock, name, places } = this.#state
    if (places.isQueueFull) throw this.#refuse('overloaded', 'OVERLOADED', 'has too many calls waiting')
    return new Promise<T>((resolve, reject) => {
      const cancelTimer = onExpiry(clock, options.deadline - clock.monotonic(), () => {
        leaveQueue()
        reject(this.#refuse('overloaded', 'OVERLOADED', 'had no free place in time'))
      })
      const leaveQueue = places.wait(() => {
        cancelTimer()
        try {
          if (!this.#mayBegin(options)) throw this.#breakerOpen()
          resolve(this.#begin(call, options))
        } catch (error) {
          reject(failureOf(error, name))
        }
      })
    })
  }

  /** Who has waited for a probe has not always the time left to be one: a hurried probe finds nothing out. */
  #mayBegin({ deadline }: RunOptions): boolean {
    const { clock, health, timeoutMs } = this.#state
    return health.trusting || deadline - clock.monotonic() >= timeoutMs / 2
  }

  #breakerOpen(): IntermixError {
    return this.#refuse('open', 'BACKEND_FAILED', 'is not called: its backend gives no answers')
  }

  #refuse(
    outcome: 'open' | 'throttled' | 'overloaded' | 'timeout',
    code: ConstructorParameters<typeof IntermixError>[0],
    what: string,
  ): IntermixError {
    const { metrics, name } = this.#state
    metrics.count(outcome)
    return new IntermixError(code, `${name} ${what}`, { backend: 'unasked' })
  }
}
