// The report side of the rules: which instances a record makes, and for which handlers.

import type { Instance } from '../adapter-kit/instance.ts'
import type { HandlerConfig } from '../config/snapshot.ts'
import { EvaluationError } from '../expression/compiled.ts'
import { sharingSteps } from '../expression/steps.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Clock, Counter, Logger, Meter, Random } from '../kernel/ports.ts'
import { generateAttributes, generationFailures } from './attribute-generation.ts'
import type { PolicyState } from './handler-table.ts'
import { ReportFailures } from './report-failures.ts'
import { type MatchFailed, matchRule } from './rule-match.ts'

export interface Dispatch {
  readonly handler: HandlerConfig
  readonly instance: Instance
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

  constructor(options: ReportDispatcherOptions) {
    this.#options = options
    this.#generationFailures = generationFailures(options.meter)
    this.#failures = new ReportFailures(options)
  }

  /** The instances of one record, in rule order. */
  dispatch(state: PolicyState, record: AttributeBag): readonly Dispatch[] | Promise<readonly Dispatch[]> {
    if (!state.rules.generatesAttributes) return this.#fill(state, record)
    const generators = state.rules.attributes(record).rules
    const bag = generateAttributes(record, generators, state.handlers, {
      deadline: this.#options.clock.monotonic() + GENERATION_MS,
      failures: this.#generationFailures,
      failed: 'absent',
    })
    if (!(bag instanceof Promise)) return this.#fill(state, bag)
    return state.handlers.hold(bag).then((generated) => this.#fill(state, generated))
  }

  readonly #matchFailed: MatchFailed = ({ name }, failure) => this.#failures.matchFailed(name, failure)

  #fill(state: PolicyState, bag: AttributeBag): readonly Dispatch[] {
    return sharingSteps(() => this.#fillAll(state, bag))
  }

  #fillAll(state: PolicyState, bag: AttributeBag): readonly Dispatch[] {
    const dispatches: Dispatch[] = []
    for (const rule of state.rules.report(bag).rules) {
      if (matchRule(rule, bag, undefined, this.#matchFailed) !== true) continue
      if (rule.mode === 'shadow' || (rule.sampling < 1 && this.#options.random() >= rule.sampling)) continue
      for (const { handler, instances } of rule.actions) {
        for (const config of instances) {
          if (config.template.variety !== 'report') continue
          const instance = config.build(bag)
          if (instance instanceof EvaluationError) this.#failures.instanceFailed(config.name, instance)
          else dispatches.push({ handler, instance })
        }
      }
    }
    return dispatches
  }
}
