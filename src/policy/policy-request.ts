// One request as policy sees it, whatever is asked of it: its attributes with those that are generated, and the rules
// that may apply.

import { ReadCollector } from '../cache/read-collector.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Counter } from '../kernel/ports.ts'
import { generateAttributes } from './attribute-generation.ts'
import type { CheckPlan, CheckPlans } from './check-plan.ts'
import type { PolicyState } from './handler-table.ts'

/** What every kind of question about a request says. */
export interface RequestOptions {
  /** Milliseconds from now after which the caller no longer waits. */
  readonly timeoutMs: number
  /** `false` where nobody asks what the answer depended on. */
  readonly references?: boolean
}

export interface PolicyRequest<O extends RequestOptions = RequestOptions> {
  readonly state: PolicyState
  /** The request's attributes, generated ones beside them. */
  readonly bag: AttributeBag
  /** What generating read of the request; `undefined` where nothing was generated, or nobody asks. */
  readonly inputs: ReadCollector | undefined
  /** What choosing the rules read; `undefined` where nobody asks what the answer depended on. */
  readonly selection: ReadCollector | undefined
  readonly plan: CheckPlan
  readonly options: O
  /** On the monotonic clock, in ms. */
  readonly deadline: number
  readonly startedAt: number
}

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
    const state = this.state()
    const outcome = this.#prepare(state, own, options, proceed)
    return outcome instanceof Promise ? state.handlers.hold(outcome) : outcome
  }

  #prepare<O extends RequestOptions, T>(
    state: PolicyState,
    own: AttributeBag,
    options: O,
    proceed: (request: PolicyRequest<O>) => T | Promise<T>,
  ): T | Promise<T> {
    const { clock, plans, generationFailures: failures } = this.#options
    const startedAt = clock.monotonic()
    const deadline = startedAt + options.timeoutMs
    const planned = (bag: AttributeBag, inputs?: ReadCollector) => {
      const selection = options.references === false ? undefined : new ReadCollector()
      const plan = plans.of(state.rules.check(bag, selection))
      return proceed({ state, bag, inputs, selection, plan, options, deadline, startedAt })
    }
    if (!state.rules.generatesAttributes) return planned(own)
    const inputs = options.references === false ? undefined : new ReadCollector()
    const generators = state.rules.attributes(own, inputs).rules
    const context = { deadline, failures, failed: 'unknown', log: inputs } as const
    const bag = generateAttributes(own, generators, state.handlers, context)
    return bag instanceof Promise ? bag.then((completed) => planned(completed, inputs)) : planned(bag, inputs)
  }
}
