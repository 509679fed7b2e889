// One call that has to be awaited: ended by its answer or its deadline, whichever is first, and only once.

import type { CallContext } from '../adapter-kit/define-adapter.ts'
import { onExpiry } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Random } from '../kernel/ports.ts'
import type { Attempt, BackendHealth } from './backend-health.ts'
import { failureOf, isWorthRetrying, outcomeOf, unheard } from './guard-failure.ts'
import type { GuardMetrics, GuardOutcome } from './guard-metrics.ts'
import type { LazyCallContext } from './lazy-call-context.ts'
import type { Places } from './places.ts'
import type { RetryBudget } from './retry-budget.ts'

/** What the calls of one handler share. */
export interface GuardState {
  readonly name: string
  readonly timeoutMs: number
  readonly clock: Clock
  readonly random: Random
  readonly health: BackendHealth
  readonly places: Places
  readonly budget: RetryBudget
  readonly metrics: GuardMetrics
}

export interface StartedCall<T> {
  readonly call: (context: CallContext) => T | Promise<T>
  readonly context: LazyCallContext
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
  readonly #started: StartedCall<T>
  readonly #promise = Promise.withResolvers<T>()
  /** Ends the wait for the deadline, and that before a retry. */
  #cancelExpiry: (() => void) | undefined
  #cancelRetry: (() => void) | undefined
  readonly #startedAt: number
  readonly #listeningFrom: number
  #settled = false
  #retried = false
  // The attempt that is under way; `undefined` between attempts.
  #attempt: Attempt | undefined

  constructor(state: GuardState, started: StartedCall<T>) {
    this.#state = state
    this.#started = started
    this.#startedAt = state.clock.monotonic()
    this.#listeningFrom = state.clock.attentive()
  }

  /** Takes over a call that was begun, place and all; the promise settles by the call's deadline. */
  start(attempt: Attempt, pending: Promise<T>): Promise<T> {
    const { context, options } = this.#started
    this.#watch(attempt, pending)
    const { clock } = this.#state
    const giveUp = () => {
      this.#giveUp()
      context.abort()
    }
    this.#cancelExpiry = onExpiry(clock, options.deadline - this.#startedAt, () => {
      // An adapter that watches the same deadline may have an answer of its own: its timer may be due in the same turn as ours.
      this.#cancelExpiry = clock.turn(giveUp)
    })
    return this.#promise.promise
  }

  #watch(attempt: Attempt, pending: Promise<T>): void {
    const { clock, health, places } = this.#state
    const listeningFrom = clock.attentive()
    this.#attempt = attempt
    const answered = (value: T) => {
      if (this.#settled) return places.ended()
      health.settle(attempt, 'success')
      places.limit.sample(clock.attentive() - listeningFrom, places.taken)
      this.#promise.resolve(value)
      this.#end('ok')
    }
    const failed = (thrown: unknown) => {
      if (this.#settled) return places.ended()
      this.#attempt = undefined
      const error = failureOf(thrown, this.#state.name)
      // An adapter may watch its deadline by itself.
      const isHeard = error.code !== 'DEADLINE_EXCEEDED' || this.#isHeard()
      this.#failed(attempt, isHeard ? error : unheard(error))
    }
    // A foreign thenable may call back twice, or throw from `then`: a promise of our own takes care of both.
    Promise.resolve(pending).then(answered, failed)
  }

  #failed(attempt: Attempt, error: IntermixError): void {
    const { health, places, budget, random, clock } = this.#state
    const { options } = this.#started
    const outcome = outcomeOf(error)
    health.settle(attempt, outcome, error.message)
    if (outcome === 'silent' && error.code === 'DEADLINE_EXCEEDED') this.#drop(attempt)
    if (error.code === 'OVERLOADED') places.limit.drop()
    const delay = BACKOFF_MS * random()
    const mayRetry = options.retry !== false && !this.#retried && isWorthRetrying(error)
    const hasTime = clock.monotonic() + delay + 2 * (clock.monotonic() - this.#startedAt) < options.deadline
    if (!mayRetry || !hasTime || !health.bearsRetry(attempt.key) || !budget.take()) return this.#fail('failed', error)
    this.#retried = true
    this.#cancelRetry = clock.after(delay, () => this.#retry(attempt.key, error))
  }

  #retry(key: string | undefined, firstError: IntermixError): void {
    const attempt = this.#state.health.acquire(key)
    if (attempt === undefined) return this.#fail('failed', firstError)
    const { call, context } = this.#started
    // An adapter that throws at once is treated like one whose promise rejects.
    const pending = new Promise<T>((resolve) => {
      resolve(call(context))
    })
    this.#watch(attempt, pending)
  }

  #giveUp(): void {
    if (this.#settled) return
    const { health, clock, name, places } = this.#state
    const error = new IntermixError('DEADLINE_EXCEEDED', `${name} did not answer in time`)
    const isHeard = this.#isHeard()
    if (this.#attempt !== undefined) {
      places.abandon()
      // A caller in a great hurry proves next to nothing about the backend.
      const certainty = Math.min(1, (clock.attentive() - this.#listeningFrom) / this.#tellingMs())
      if (isHeard) this.#drop(this.#attempt, certainty)
      health.settle(this.#attempt, isHeard ? 'silent' : 'neutral', error.message, certainty)
    }
    if (isHeard) this.#fail('timeout', error)
    else this.#fail('stalled', unheard(error))
  }

  /** A timeout tells of an overloaded backend, unless that answered others meanwhile: then it hangs on this one. */
  #drop(attempt: Attempt, certainty = 1): void {
    const { health, places } = this.#state
    if (!health.answeredSince(attempt)) places.limit.drop(certainty * health.weightOf(attempt))
  }

  #tellingMs(): number {
    const { places, timeoutMs } = this.#state
    const { usualMs } = places.limit
    return Math.min(timeoutMs / 2, usualMs === undefined ? timeoutMs : Math.max(TELLING_MS, TELLING_TIMES * usualMs))
  }

  /** Whether this process listened for the answer at least half of the time. */
  #isHeard(): boolean {
    const { clock } = this.#state
    return 2 * (clock.attentive() - this.#listeningFrom) >= clock.monotonic() - this.#startedAt
  }

  #fail(outcome: GuardOutcome, error: IntermixError): void {
    this.#promise.reject(error)
    this.#end(outcome)
  }

  #end(outcome: GuardOutcome): void {
    const { metrics, clock, places } = this.#state
    this.#settled = true
    this.#cancelExpiry?.()
    this.#cancelRetry?.()
    metrics.count(outcome)
    metrics.duration(clock.monotonic() - this.#startedAt)
    places.leave()
  }
}
