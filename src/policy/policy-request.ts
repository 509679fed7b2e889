// One request as policy sees it, whatever is asked of it: its attributes with those that are generated, and the rules
// that may apply.

import { ReadCollector } from '../cache/read-collector.ts'
import type { CandidateSet } from '../config/rule-index.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Counter } from '../kernel/ports.ts'
import { generateAttributes } from './attribute-generation.ts'
import type { CheckPlan, CheckPlans } from './check-plan.ts'
import type { PolicyState } from './handler-table.ts'
import { newTrace, type Place, SelectionTrace } from './selection-trace.ts'

/** What every kind of question about a request says. */
export interface RequestOptions {
  /** Milliseconds from now after which the caller no longer waits. */
  readonly timeoutMs: number
  /** When the call came, on the monotonic clock, where the caller has looked; else it is now. */
  readonly startedAt?: number
  /** `false` where nobody asks what the answer depended on. */
  readonly references?: boolean
  /** `true` where somebody asks for the answer's shape. */
  readonly shape?: boolean
}

export interface PolicyRequest<O extends RequestOptions = RequestOptions> {
  readonly state: PolicyState
  /** The request's attributes, generated ones beside them. */
  readonly bag: AttributeBag
  /** What generating read of the request; `undefined` where nothing was generated, or nobody asks. */
  readonly inputs: ReadCollector | undefined
  /** The rules that may have generated attributes; `undefined` where the config has none. */
  readonly generators: CandidateSet | undefined
  /** Where what choosing the rules read has led; `undefined` where nobody asks what the answer depended on. */
  readonly selection: Place | undefined
  /** What choosing the rules read, step by step; `undefined` where nobody asks for the answer's shape. */
  readonly choosing: ReadCollector | undefined
  readonly plan: CheckPlan
  readonly options: O
  /** On the monotonic clock, in ms. */
  readonly deadline: number
  readonly startedAt: number
  /** When it was ready to be answered: as it came, unless attributes had to be waited for. */
  readonly preparedAt: number
}

/** How a request came to have generated attributes. */
type Generation = Pick<PolicyRequest, 'inputs' | 'generators'>

const NOT_GENERATED: Generation = { inputs: undefined, generators: undefined }

export interface PolicyRequestsOptions {
  readonly clock: Clock
  readonly plans: CheckPlans
  readonly generationFailures: Counter
  /** The current config; `undefined` before the first one is in. */
  state(): PolicyState | undefined
}

/** Prepares requests under the config that is current when they come. */
export class PolicyRequests {
  readonly #options: PolicyRequestsOptions
  /** What choosing rules has read, under each config: requests may be asked of two by turns. */
  readonly #traces = new WeakMap<PolicyState, Place>()

  constructor(options: PolicyRequestsOptions) {
    this.#options = options
  }

  /** The current config. @throws IntermixError NOT_READY before the first one is in. */
  state(): PolicyState {
    const state = this.#options.state()
    if (state === undefined) throw new IntermixError('NOT_READY', 'the config is not loaded yet')
    return state
  }

  /**
   * Prepares a request and proceeds with it: at once where nothing has to be awaited. The handlers of its config run on
   * until the outcome is there.
   * @throws IntermixError NOT_READY
   */
  handle<O extends RequestOptions, T>(
    own: AttributeBag,
    options: O,
    proceed: (request: PolicyRequest<O>) => T | Promise<T>,
  ): T | Promise<T> {
    return this.handleBy(this.state(), own, options, proceed)
  }

  /** The same by a config that need not be current; its handlers must be running. */
  handleBy<O extends RequestOptions, T>(
    state: PolicyState,
    own: AttributeBag,
    options: O,
    proceed: (request: PolicyRequest<O>) => T | Promise<T>,
  ): T | Promise<T> {
    const startedAt = options.startedAt ?? this.#options.clock.monotonic()
    const outcome = state.rules.generatesAttributes
      ? this.#generate(state, own, options, startedAt, proceed)
      : proceed(this.#request(state, own, NOT_GENERATED, options, startedAt, startedAt))
    return outcome instanceof Promise ? state.handlers.hold(outcome) : outcome
  }

  #generate<O extends RequestOptions, T>(
    state: PolicyState,
    own: AttributeBag,
    options: O,
    startedAt: number,
    proceed: (request: PolicyRequest<O>) => T | Promise<T>,
  ): T | Promise<T> {
    const { clock, generationFailures: failures } = this.#options
    const inputs = options.references === false && options.shape !== true ? undefined : new ReadCollector()
    const generators = state.rules.attributes(own, inputs)
    const generated = { inputs, generators }
    const context = { deadline: startedAt + options.timeoutMs, failures, failed: 'unknown', log: inputs } as const
    const bag = generateAttributes(own, generators.rules, state.handlers, context)
    if (!(bag instanceof Promise)) return proceed(this.#request(state, bag, generated, options, startedAt, startedAt))
    return bag.then((completed) =>
      proceed(this.#request(state, completed, generated, options, startedAt, clock.monotonic())),
    )
  }

  #request<O extends RequestOptions>(
    state: PolicyState,
    bag: AttributeBag,
    { inputs, generators }: Generation,
    options: O,
    startedAt: number,
    preparedAt: number,
  ): PolicyRequest<O> {
    const trace = options.references === false ? undefined : new SelectionTrace(this.#startOf(state))
    const choosing = options.shape === true ? new ReadCollector() : undefined
    const plan = this.#options.plans.of(state.rules.check(bag, trace ?? choosing))
    if (trace !== undefined && choosing !== undefined) state.rules.check(bag, choosing)
    const deadline = startedAt + options.timeoutMs
    const selection = trace?.place
    return { state, bag, inputs, generators, selection, choosing, plan, options, deadline, startedAt, preparedAt }
  }

  #startOf(state: PolicyState): Place {
    let start = this.#traces.get(state)
    if (start === undefined) {
      start = newTrace()
      this.#traces.set(state, start)
    }
    return start
  }
}
