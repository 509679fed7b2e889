// What the report rules of one config make of records. Most records differ in little: which rules match, and to which
// series a record adds, is remembered by what was read for it, and then only the observed values are evaluated.

import type { Aggregation } from '../adapter-kit/aggregation.ts'
import type { FieldValue, Instance } from '../adapter-kit/instance.ts'
import { type FieldPlan, fillField, fillFields } from '../config/instance-builder.ts'
import type { HandlerConfig, InstanceConfig, RuleConfig } from '../config/snapshot.ts'
import { type CompiledExpression, EvaluationError } from '../expression/compiled.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { EvaluationMemo } from './evaluation-memo.ts'
import type { PolicyState } from './handler-table.ts'
import { type MatchFailed, matchRule } from './rule-match.ts'

/** An instance that a rule makes for a handler. */
export interface Part {
  readonly handler: HandlerConfig
  readonly config: InstanceConfig
  /** Where the handler wants such instances added up. */
  readonly sum: SeriesOf | undefined
}

export interface PlannedRule {
  readonly rule: RuleConfig
  readonly parts: readonly Part[]
}

/** Fields that several instances fill by the same expressions, and what they are for a record. */
type Fields = Readonly<Record<string, FieldValue>>
interface FilledFields {
  readonly fields: Fields
  /** By who shares them: the instance without its observed field. */
  readonly instances: (Instance | undefined)[]
}
interface SharedFields {
  readonly plan: readonly FieldPlan[]
  readonly memo: EvaluationMemo<FilledFields>
  users: number
}

export class ReportPlan {
  readonly #state: PolicyState
  readonly #matches = new EvaluationMemo<readonly PlannedRule[]>()
  readonly #planned = new Map<RuleConfig, PlannedRule>()
  readonly #aggregations = new Map<string, Aggregation | undefined>()
  readonly #shared = new Map<string, SharedFields>()
  readonly #expressions = new Map<CompiledExpression, number>()

  constructor(state: PolicyState) {
    this.#state = state
  }

  /** The rules that match, in rule order. */
  matching(bag: AttributeBag, failed: MatchFailed): readonly PlannedRule[] {
    return this.#matches.find(bag) ?? this.#match(bag, failed)
  }

  #match(bag: AttributeBag, failed: MatchFailed): readonly PlannedRule[] {
    let isSound = true
    const onFailure: MatchFailed = (rule, failure) => {
      isSound = false
      failed(rule, failure)
    }
    return this.#matches.evaluate(
      bag,
      (log) =>
        this.#state.rules
          .report(bag, log)
          .rules.filter((rule) => matchRule(rule, bag, log, onFailure) === true)
          .map((rule) => this.#plan(rule)),
      (value): value is readonly PlannedRule[] => isSound && value !== undefined,
    )
  }

  #plan(rule: RuleConfig): PlannedRule {
    const known = this.#planned.get(rule)
    if (known !== undefined) return known
    const parts = rule.actions.flatMap(({ handler, instances }) =>
      instances
        .filter(({ template }) => template.variety === 'report')
        .map((config) => ({ handler, config, sum: this.#sumOf(handler, config) })),
    )
    const planned = { rule, parts }
    this.#planned.set(rule, planned)
    return planned
  }

  #sumOf(handler: HandlerConfig, config: InstanceConfig): SeriesOf | undefined {
    const { name } = config.template
    const id = `${handler.name} ${name}`
    if (!this.#aggregations.has(id)) {
      this.#aggregations.set(id, handler.adapter.aggregation?.(name, handler.params))
    }
    const aggregation = this.#aggregations.get(id)
    return aggregation && new SeriesOf(config, aggregation, this.#share(config, aggregation.observed))
  }

  #share(config: InstanceConfig, observed: string): SharedFields {
    const plan = config.plan.filter(({ name }) => name !== observed)
    const id = JSON.stringify(plan.map((field) => this.#idOf(field)))
    let shared = this.#shared.get(id)
    if (shared === undefined) this.#shared.set(id, (shared = { plan, memo: new EvaluationMemo(), users: 0 }))
    return shared
  }

  /** Expressions of the same text are the same object in one config. */
  #idOf(field: FieldPlan): unknown {
    if (field.kind === 'message') return [field.name, field.fields.map((each) => this.#idOf(each))]
    const entries = field.kind === 'map' ? field.entries : ([['', field.expression]] as const)
    return [field.name, field.kind, entries.map(([key, expression]) => [key, this.#numberOf(expression)])]
  }

  #numberOf(expression: CompiledExpression): number {
    const number = this.#expressions.get(expression) ?? this.#expressions.size
    this.#expressions.set(expression, number)
    return number
  }
}

/** Finds the series that a record adds to, and what it adds. */
export class SeriesOf {
  readonly aggregation: Aggregation
  readonly #config: InstanceConfig
  readonly #shared: SharedFields
  readonly #user: number
  readonly #observed: FieldPlan | undefined

  constructor(config: InstanceConfig, aggregation: Aggregation, shared: SharedFields) {
    this.#config = config
    this.aggregation = aggregation
    this.#shared = shared
    this.#user = shared.users++
    this.#observed = config.plan.find(({ name }) => name === aggregation.observed)
  }

  /** The instance without its observed field: the same object for records that read the same. */
  series(bag: AttributeBag): Instance | EvaluationError {
    const filled = this.#shared.memo.find(bag) ?? this.#fill(bag)
    if (filled instanceof EvaluationError) return filled
    const { name, template } = this.#config
    return (filled.instances[this.#user] ??= { name, template: template.name, fields: filled.fields })
  }

  // By itself, so that what is found makes no closures.
  #fill(bag: AttributeBag): FilledFields | EvaluationError {
    const { memo, plan } = this.#shared
    return memo.evaluate(
      bag,
      (log) => {
        const fields = fillFields(plan, bag, log)
        return fields instanceof EvaluationError ? fields : { fields, instances: [] }
      },
      (value): value is FilledFields => !(value instanceof EvaluationError),
    )
  }

  /** `undefined` where the config does not set the field. */
  observe(bag: AttributeBag): FieldValue | EvaluationError | undefined {
    return this.#observed && fillField(this.#observed, bag, undefined)
  }
}
