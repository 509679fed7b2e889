// One call that has to be awaited: ended by its answer, its deadline or its caller, whichever is first, and only once.

import type { CallContext } from '../adapter-kit/define-adapter.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Random } from '../kernel/ports.ts'
import type { CircuitBreaker, Permit } from './circuit-breaker.ts'
import type { ConcurrencyLimit } from './concurrency-limit.ts'
import { failureOf, isWorthRetrying, outcomeOf } from './guard-failure.ts'
import type { GuardMetrics, GuardOutcome } from './guard-metrics.ts'
import type { LazyCallContext } from './lazy-call-context.ts'
import type { RetryBudget } from './retry-budget.ts'

/** What a call shares with the other calls of its handler. */
export interface GuardState {
  readonly name: string
  readonly timeoutMs: number
  readonly clock: Clock
  readonly random: Random
  readonly breaker: CircuitBreaker
  readonly limit: ConcurrencyLimit
  readonly budget: RetryBudget
  readonly metrics: GuardMetrics
  readonly inFlight: () => number
  /** One more (1) or one fewer (-1) call was given up without having ended. */
  readonly abandoned: (change: 1 | -1) => void
  /** The call's place is free again. Called exactly once. */
  readonly ended: () => void
}

export interface StartedCall<T> {
  readonly call: (context: CallContext) => T | Promise<T>
  readonly context: LazyCallContext
  readonly permit: Permit
  readonly options: { readonly deadline: number; readonly signal?: AbortSignal; readonly retry?: boolean }
}

/** The retry waits a random time up to this long. */
const BACKOFF_MS = 25

export class GuardedCall<T> {
  readonly #state: GuardState
  readonly #promise = Promise.withResolvers<T>()
  readonly #cleanups: (() => void)[] = []
  readonly #startedAt: number
  #settled = false
  #retried = false
  // The permit of the attempt that is under way; `undefined` between attempts.
  #permit: Permit | undefined

  constructor(state: GuardState) {
    this.#state = state
    this.#startedAt = state.clock.monotonic()
  }

  /** Takes over a call that was begun; the promise settles by the call's deadline. */
  start(started: StartedCall<T>, pending: Promise<T>): Promise<T> {
    const { clock } = this.#state
    const { context, options } = started
    const { deadline, signal } = options
    const giveUp = (error: IntermixError, outcome: GuardOutcome) => {
      this.#giveUp(error, outcome)
      context.abort()
    }
    this.#watch(started, started.permit, pending)
    this.#cleanups.push(clock.after(Math.max(0, deadline - this.#startedAt), () => giveUp(this.#late(), 'timeout')))
    if (signal !== undefined) {
      const onAbort = () => giveUp(new IntermixError('CANCELLED', `${this.#state.name} was given up`), 'cancelled')
      signal.addEventListener('abort', onAbort, { once: true })
      this.#cleanups.push(() => signal.removeEventListener('abort', onAbort))
      // The adapter itself may have made the caller give up, before anyone listened.
      if (signal.aborted) onAbort()
    }
    return this.#promise.promise
  }

  #watch(started: StartedCall<T>, permit: Permit, pending: Promise<T>): void {
    const { clock, breaker, limit, abandoned } = this.#state
    const begunAt = clock.monotonic()
    this.#permit = permit
    const answered = (value: T) => {
      if (this.#settled) return abandoned(-1)
      breaker.settle(permit, 'success')
      limit.sample(clock.monotonic() - begunAt, this.#state.inFlight())
      this.#finish('ok', () => this.#promise.resolve(value))
    }
    const failed = (thrown: unknown) => {
      if (this.#settled) return abandoned(-1)
      this.#permit = undefined
      this.#failed(started, permit, failureOf(thrown, this.#state.name))
    }
    // A foreign thenable may call back twice, or throw from `then`: a promise of our own takes care of both.
    Promise.resolve(pending).then(answered, failed)
  }

  #failed(started: StartedCall<T>, permit: Permit, error: IntermixError): void {
    const { breaker, limit, budget, random, clock } = this.#state
    breaker.settle(permit, outcomeOf(error))
    if (error.code === 'DEADLINE_EXCEEDED' || error.code === 'OVERLOADED') limit.drop()
    const delay = BACKOFF_MS * random()
    const mayRetry = started.options.retry !== false && !this.#retried && isWorthRetrying(error)
    const hasTime = clock.monotonic() + delay + 2 * (clock.monotonic() - this.#startedAt) < started.options.deadline
    if (!mayRetry || !hasTime || !breaker.permits() || !budget.take()) {
      this.#finish('failed', () => this.#promise.reject(error))
      return
    }
    this.#retried = true
    this.#cleanups.push(clock.after(delay, () => this.#retry(started, error)))
  }

  #retry(started: StartedCall<T>, firstError: IntermixError): void {
    const permit = this.#state.breaker.acquire()
    if (permit === undefined) {
      this.#finish('failed', () => this.#promise.reject(firstError))
      return
    }
    // An adapter that throws at once is treated like one whose promise rejects.
    const pending = new Promise<T>((resolve) => {
      resolve(started.call(started.context))
    })
    this.#watch(started, permit, pending)
  }

  #giveUp(error: IntermixError, outcome: GuardOutcome): void {
    if (this.#settled) return
    const { breaker, limit, abandoned, clock, timeoutMs } = this.#state
    if (this.#permit !== undefined) {
      abandoned(1)
      // A caller in a great hurry proves nothing about the backend.
      const isSlow = outcome === 'timeout' && clock.monotonic() - this.#startedAt >= timeoutMs / 2
      breaker.settle(this.#permit, isSlow ? 'failure' : 'neutral')
      if (isSlow) limit.drop()
    }
    this.#finish(outcome, () => this.#promise.reject(error))
  }

  #finish(outcome: GuardOutcome, settle: () => void): void {
    const { metrics, clock, ended } = this.#state
    this.#settled = true
    for (const cleanup of this.#cleanups) cleanup()
    metrics.count(outcome)
    metrics.duration(clock.monotonic() - this.#startedAt)
    settle()
    ended()
  }

  #late(): IntermixError {
    return new IntermixError('DEADLINE_EXCEEDED', `${this.#state.name} did not answer in time`)
  }
}
