// Stands between Intermix and an adapter: whatever the adapter does, the caller gets a value or an error in time.

import type { CallContext } from '../adapter-kit/define-adapter.ts'
import { IntermixError } from '../kernel/errors.ts'
import { onExpiry } from '../kernel/deadline.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import { BackendHealth } from './backend-health.ts'
import { ConcurrencyLimit } from './concurrency-limit.ts'
import { failureOf } from './guard-failure.ts'
import { GuardMetrics } from './guard-metrics.ts'
import { GuardedCall } from './guarded-call.ts'
import { LazyCallContext } from './lazy-call-context.ts'
import { RetryBudget } from './retry-budget.ts'

export interface GuardLimits {
  /** Concurrent calls to begin with. Default 20. */
  readonly initialConcurrency?: number
  /** Concurrent calls at most. Default 200. */
  readonly maxConcurrency?: number
  /** Calls that may wait for a free place. Default 100. */
  readonly maxQueue?: number
  /** Calls that were given up and have not ended; beyond it nothing more is begun. Default 1000. */
  readonly maxAbandoned?: number
}

export interface GuardOptions {
  /** `timeoutMs` bounds each call, whatever its caller allows. */
  readonly handler: { readonly name: string; readonly timeoutMs: number }
  readonly clock: Clock
  readonly random: Random
  readonly meter: Meter
  readonly log: Logger
  readonly limits?: GuardLimits
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
  readonly #options: GuardOptions
  readonly #metrics: GuardMetrics
  readonly #health: BackendHealth
  readonly #limit: ConcurrencyLimit
  readonly #budget: RetryBudget
  readonly #maxQueue: number
  readonly #maxAbandoned: number
  readonly #queue: (() => void)[] = []
  #inFlight = 0
  #abandoned = 0

  constructor(options: GuardOptions) {
    const { handler, clock, random, meter, log, limits = {} } = options
    const { initialConcurrency: initial = 20, maxConcurrency: max = 200 } = limits
    this.#options = options
    this.#metrics = new GuardMetrics(meter, handler.name)
    this.#health = new BackendHealth({
      clock,
      random,
      log: log.child({ handler: handler.name }),
      onBreaker: (state) => this.#metrics.breaker(state),
    })
    this.#limit = new ConcurrencyLimit({ initial, max })
    this.#budget = new RetryBudget(clock)
    this.#maxQueue = limits.maxQueue ?? 100
    this.#maxAbandoned = limits.maxAbandoned ?? 1_000
    this.#metrics.limit(this.#limit.current)
  }

  healthy(): boolean {
    return this.#health.permits()
  }

  run<T>(call: (context: CallContext) => T | Promise<T>, options: RunOptions): T | Promise<T> {
    const now = this.#options.clock.monotonic()
    const deadline = Math.min(options.deadline, now + this.#options.handler.timeoutMs)
    // Written so that a deadline that is no number refuses, too.
    if (!(deadline - now >= LEAST_TIME_MS)) throw this.#refuse('timeout', 'DEADLINE_EXCEEDED', 'had no time left')
    if (!this.#health.permits(options.key) && !this.#health.probing) throw this.#breakerOpen()
    if (this.#abandoned >= this.#maxAbandoned) throw this.#refuse('overloaded', 'OVERLOADED', 'has too many hung calls')
    if (!this.#health.admits(options.key))
      throw this.#refuse('throttled', 'BACKEND_FAILED', 'is asked less: most of its calls fail')
    // While a probe finds out whether the backend is back, others wait for what it finds.
    if (this.#health.probing || this.#inFlight >= this.#limit.current) return this.#wait(call, { ...options, deadline })
    return this.#begin(call, { ...options, deadline })
  }

  #begin<T>(call: (context: CallContext) => T | Promise<T>, options: RunOptions): T | Promise<T> {
    const attempt = this.#health.acquire(options.key)
    if (attempt === undefined) throw this.#breakerOpen()
    const { handler, clock, random } = this.#options
    const context = new LazyCallContext(options.deadline)
    this.#inFlight += 1
    this.#budget.call()
    let result: T | Promise<T>
    let isPending: boolean
    try {
      result = call(context)
      isPending = isThenable(result)
    } catch (error) {
      // Nothing was awaited, so nothing was learnt about the backend: one odd request must not shut out the others.
      this.#health.settle(attempt, 'neutral')
      this.#release()
      this.#metrics.count('failed')
      throw failureOf(error, handler.name)
    }
    if (!isPending) {
      this.#health.settle(attempt, 'neutral')
      this.#release()
      this.#metrics.count('ok')
      return result
    }
    return new GuardedCall<T>({
      name: handler.name,
      timeoutMs: handler.timeoutMs,
      clock,
      random,
      health: this.#health,
      limit: this.#limit,
      budget: this.#budget,
      metrics: this.#metrics,
      inFlight: () => this.#inFlight,
      abandoned: (change) => {
        this.#abandoned += change
      },
      ended: () => this.#release(),
    }).start({ call, context, attempt, options }, result as Promise<T>)
  }

  #wait<T>(call: (context: CallContext) => T | Promise<T>, options: RunOptions): Promise<T> {
    if (this.#queue.length >= this.#maxQueue)
      throw this.#refuse('overloaded', 'OVERLOADED', 'has too many calls waiting')
    const { clock } = this.#options
    return new Promise<T>((resolve, reject) => {
      const cancelTimer = onExpiry(clock, options.deadline - clock.monotonic(), () => {
        this.#queue.splice(this.#queue.indexOf(begin), 1)
        reject(this.#refuse('overloaded', 'OVERLOADED', 'had no free place in time'))
      })
      const begin = () => {
        cancelTimer()
        try {
          if (!this.#mayBegin(options)) throw this.#breakerOpen()
          resolve(this.#begin(call, options))
        } catch (error) {
          reject(failureOf(error, this.#options.handler.name))
        }
      }
      this.#queue.push(begin)
    })
  }

  /** Who has waited for a probe has not always the time left to be one: a hurried probe finds nothing out. */
  #mayBegin({ deadline }: RunOptions): boolean {
    const { clock, handler } = this.#options
    return this.#health.trusting || deadline - clock.monotonic() >= handler.timeoutMs / 2
  }

  #release(): void {
    this.#inFlight -= 1
    this.#metrics.limit(this.#limit.current)
    // A call that begins may end at once and come back here: the loop below then finds the queue shorter.
    while (this.#queue.length > 0 && this.#inFlight < this.#limit.current && !this.#health.probing) {
      this.#queue.shift()?.()
    }
  }

  #breakerOpen(): IntermixError {
    return this.#refuse('open', 'BACKEND_FAILED', 'is not called: its backend gives no answers')
  }

  #refuse(
    outcome: 'open' | 'throttled' | 'overloaded' | 'timeout',
    code: ConstructorParameters<typeof IntermixError>[0],
    what: string,
  ): IntermixError {
    this.#metrics.count(outcome)
    return new IntermixError(code, `${this.#options.handler.name} ${what}`, { backend: 'unasked' })
  }
}
