// The report side of the rules: which instances a record makes, and for which handlers.

import type { Aggregation } from '../adapter-kit/aggregation.ts'
import type { FieldValue, Instance } from '../adapter-kit/instance.ts'
import type { HandlerConfig } from '../config/snapshot.ts'
import { EvaluationError } from '../expression/compiled.ts'
import { sharingSteps } from '../expression/steps.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Clock, Counter, Logger, Meter, Random } from '../kernel/ports.ts'
import { generateAttributes, generationFailures } from './attribute-generation.ts'
import type { PolicyState } from './handler-table.ts'
import { ReportFailures } from './report-failures.ts'
import { type Part, ReportPlan, type SeriesOf } from './report-plan.ts'
import type { MatchFailed } from './rule-match.ts'

/** What a record makes for a handler. */
export interface Dispatch {
  readonly handler: HandlerConfig
  /** Without the observed field where it is to be added up; `undefined` where it could not be evaluated. */
  readonly instance: Instance | undefined
  readonly aggregation?: Aggregation
  /** What the aggregation observes. */
  readonly observed?: FieldValue | undefined
}

export interface ReportDispatcherOptions {
  readonly clock: Clock
  readonly random: Random
  readonly meter: Meter
  readonly log: Logger
}

/** Attribute generators of a report may take this long. */
const GENERATION_MS = 1_000

export class ReportDispatcher {
  readonly #options: ReportDispatcherOptions
  readonly #generationFailures: Counter
  readonly #failures: ReportFailures
  readonly #plans = new WeakMap<PolicyState, ReportPlan>()

  constructor(options: ReportDispatcherOptions) {
    this.#options = options
    this.#generationFailures = generationFailures(options.meter)
    this.#failures = new ReportFailures(options)
  }

  /** What one record makes, in rule order. @param random decides what is sampled */
  dispatch(
    state: PolicyState,
    record: AttributeBag,
    random = this.#options.random,
  ): readonly Dispatch[] | Promise<readonly Dispatch[]> {
    if (!state.rules.generatesAttributes) return this.#fill(state, record, random)
    const generators = state.rules.attributes(record).rules
    const bag = generateAttributes(record, generators, state.handlers, {
      deadline: this.#options.clock.monotonic() + GENERATION_MS,
      failures: this.#generationFailures,
      failed: 'absent',
    })
    if (!(bag instanceof Promise)) return this.#fill(state, bag, random)
    return state.handlers.hold(bag).then((generated) => this.#fill(state, generated, random))
  }

  readonly #matchFailed: MatchFailed = ({ name }, failure) => this.#failures.matchFailed(name, failure)

  #fill(state: PolicyState, bag: AttributeBag, random: Random): readonly Dispatch[] {
    return sharingSteps(() => this.#fillAll(state, bag, random))
  }

  #fillAll(state: PolicyState, bag: AttributeBag, random: Random): readonly Dispatch[] {
    const dispatches: Dispatch[] = []
    for (const { rule, parts } of this.#planOf(state).matching(bag, this.#matchFailed)) {
      if (rule.mode === 'shadow' || (rule.sampling < 1 && random() >= rule.sampling)) continue
      for (const part of parts) {
        const made = part.sum === undefined ? make(part, bag) : add(part.handler, part.sum, bag)
        if (!(made instanceof EvaluationError)) dispatches.push(made)
        else {
          this.#failures.instanceFailed(rule.name, part.config.name, made)
          dispatches.push({ handler: part.handler, instance: undefined })
        }
      }
    }
    return dispatches
  }

  #planOf(state: PolicyState): ReportPlan {
    let plan = this.#plans.get(state)
    if (plan === undefined) this.#plans.set(state, (plan = new ReportPlan(state)))
    return plan
  }
}

function make({ handler, config }: Part, bag: AttributeBag): Dispatch | EvaluationError {
  const instance = config.build(bag)
  return instance instanceof EvaluationError ? instance : { handler, instance }
}

function add(handler: HandlerConfig, sum: SeriesOf, bag: AttributeBag): Dispatch | EvaluationError {
  const instance = sum.series(bag)
  if (instance instanceof EvaluationError) return instance
  const observed = sum.observe(bag)
  if (observed instanceof EvaluationError) return observed
  return { handler, instance, aggregation: sum.aggregation, observed }
}
