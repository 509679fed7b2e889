// One call that has to be awaited: ended by its answer or its deadline, whichever is first, and only once.

import type { CallContext } from '../adapter-kit/define-adapter.ts'
import { onExpiry } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Random } from '../kernel/ports.ts'
import type { Attempt, BackendHealth } from './backend-health.ts'
import type { ConcurrencyLimit } from './concurrency-limit.ts'
import { failureOf, isWorthRetrying, outcomeOf, unheard } from './guard-failure.ts'
import type { GuardMetrics, GuardOutcome } from './guard-metrics.ts'
import type { LazyCallContext } from './lazy-call-context.ts'
import type { RetryBudget } from './retry-budget.ts'

/** What the calls of one handler share. */
export interface GuardState {
  readonly name: string
  readonly timeoutMs: number
  readonly clock: Clock
  readonly random: Random
  readonly health: BackendHealth
  readonly limit: ConcurrencyLimit
  readonly budget: RetryBudget
  readonly metrics: GuardMetrics
  /** Calls that hold a place. */
  inFlight: number
  /** Calls that were given up and have not ended. */
  abandoned: number
  /** Frees the place of a call that has ended or was given up: exactly once for each. */
  release(): void
}

export interface StartedCall<T> {
  readonly call: (context: CallContext) => T | Promise<T>
  readonly context: LazyCallContext
  readonly attempt: Attempt
  readonly options: {
    readonly deadline: number
    readonly retry?: boolean
    readonly key?: string
  }
}

/** The retry waits a random time up to this long. */
const BACKOFF_MS = 25
/** Silence tells of the backend when it has lasted so many times as long as its answers take, and at least this long. */
const TELLING_TIMES = 10
const TELLING_MS = 20

export class GuardedCall<T> {
  readonly #state: GuardState
  readonly #promise = Promise.withResolvers<T>()
  readonly #cleanups: (() => void)[] = []
  readonly #startedAt: number
  readonly #listeningFrom: number
  #settled = false
  #retried = false
  // The attempt that is under way; `undefined` between attempts.
  #attempt: Attempt | undefined

  constructor(state: GuardState) {
    this.#state = state
    this.#startedAt = state.clock.monotonic()
    this.#listeningFrom = state.clock.attentive()
  }

  /** Takes over a call that was begun; the promise settles by the call's deadline. */
  start(started: StartedCall<T>, pending: Promise<T>): Promise<T> {
    const { clock } = this.#state
    const { context, options } = started
    const giveUp = () => {
      this.#giveUp(this.#late())
      context.abort()
    }
    this.#watch(started, started.attempt, pending)
    this.#cleanups.push(onExpiry(clock, options.deadline - this.#startedAt, giveUp))
    return this.#promise.promise
  }

  #watch(started: StartedCall<T>, attempt: Attempt, pending: Promise<T>): void {
    const { clock, health, limit } = this.#state
    const listeningFrom = clock.attentive()
    this.#attempt = attempt
    const answered = (value: T) => {
      if (this.#settled) return this.#endLate()
      health.settle(attempt, 'success')
      limit.sample(clock.attentive() - listeningFrom, this.#state.inFlight)
      this.#finish('ok', () => this.#promise.resolve(value))
    }
    const failed = (thrown: unknown) => {
      if (this.#settled) return this.#endLate()
      this.#attempt = undefined
      const error = failureOf(thrown, this.#state.name)
      // An adapter may watch its deadline by itself.
      const isHeard = error.code !== 'DEADLINE_EXCEEDED' || this.#isHeard()
      this.#failed(started, attempt, isHeard ? error : unheard(error))
    }
    // A foreign thenable may call back twice, or throw from `then`: a promise of our own takes care of both.
    Promise.resolve(pending).then(answered, failed)
  }

  /** What was given up has ended at last. */
  #endLate(): void {
    this.#state.abandoned -= 1
  }

  #failed(started: StartedCall<T>, attempt: Attempt, error: IntermixError): void {
    const { health, limit, budget, random, clock } = this.#state
    const outcome = outcomeOf(error)
    health.settle(attempt, outcome, error.message)
    if (outcome === 'silent' && error.code === 'DEADLINE_EXCEEDED') this.#drop(attempt)
    if (error.code === 'OVERLOADED') limit.drop()
    const delay = BACKOFF_MS * random()
    const mayRetry = started.options.retry !== false && !this.#retried && isWorthRetrying(error)
    const hasTime = clock.monotonic() + delay + 2 * (clock.monotonic() - this.#startedAt) < started.options.deadline
    if (!mayRetry || !hasTime || !health.bearsRetry(attempt.key) || !budget.take()) {
      this.#finish('failed', () => this.#promise.reject(error))
      return
    }
    this.#retried = true
    this.#cleanups.push(clock.after(delay, () => this.#retry(started, error)))
  }

  #retry(started: StartedCall<T>, firstError: IntermixError): void {
    const attempt = this.#state.health.acquire(started.attempt.key)
    if (attempt === undefined) {
      this.#finish('failed', () => this.#promise.reject(firstError))
      return
    }
    // An adapter that throws at once is treated like one whose promise rejects.
    const pending = new Promise<T>((resolve) => {
      resolve(started.call(started.context))
    })
    this.#watch(started, attempt, pending)
  }

  #giveUp(error: IntermixError): void {
    if (this.#settled) return
    const { health, clock } = this.#state
    const isHeard = this.#isHeard()
    if (this.#attempt !== undefined) {
      this.#state.abandoned += 1
      // A caller in a great hurry proves next to nothing about the backend.
      const certainty = Math.min(1, (clock.attentive() - this.#listeningFrom) / this.#tellingMs())
      if (isHeard) this.#drop(this.#attempt, certainty)
      health.settle(this.#attempt, isHeard ? 'silent' : 'neutral', error.message, certainty)
    }
    this.#finish(isHeard ? 'timeout' : 'stalled', () => this.#promise.reject(isHeard ? error : unheard(error)))
  }

  /** A timeout tells of an overloaded backend, unless that answered others meanwhile: then it hangs on this one. */
  #drop(attempt: Attempt, certainty = 1): void {
    const { health, limit } = this.#state
    if (!health.answeredSince(attempt)) limit.drop(certainty * health.weightOf(attempt))
  }

  #tellingMs(): number {
    const { limit, timeoutMs } = this.#state
    const { usualMs } = limit
    return Math.min(timeoutMs / 2, usualMs === undefined ? timeoutMs : Math.max(TELLING_MS, TELLING_TIMES * usualMs))
  }

  /** Whether this process listened for the answer at least half of the time. */
  #isHeard(): boolean {
    const { clock } = this.#state
    return 2 * (clock.attentive() - this.#listeningFrom) >= clock.monotonic() - this.#startedAt
  }

  #finish(outcome: GuardOutcome, settle: () => void): void {
    const { metrics, clock } = this.#state
    this.#settled = true
    for (const cleanup of this.#cleanups) cleanup()
    metrics.count(outcome)
    metrics.duration(clock.monotonic() - this.#startedAt)
    settle()
    this.#state.release()
  }

  #late(): IntermixError {
    return new IntermixError('DEADLINE_EXCEEDED', `${this.#state.name} did not answer in time`)
  }
}
