// Evaluates all that a config says of one request, without a handler: matches, instances, bindings of generated
// attributes and header operations. Nothing is asked, charged or reported.

import type { RuleSelector } from '../../config/rule-index.ts'
import type { InstanceConfig, RuleConfig } from '../../config/snapshot.ts'
import { EvaluationError } from '../../expression/compiled.ts'
import { sharingSteps } from '../../expression/steps.ts'
import { type AttributeBag, OverlayBag } from '../../kernel/attribute-bag.ts'
import type { AttributeValue, ValueType } from '../../kernel/value.ts'
import { fillHeaders } from '../../policy/header-operations.ts'
import { matchRule } from '../../policy/rule-match.ts'
import { sampleValues } from './sample-values.ts'

/** What is told of a dry run, as it goes. */
export interface DryRunListener {
  /** A rule is about to be evaluated. */
  enter(rule: RuleConfig): void
  /** It is unknown what a rule says. Of what fails nothing may be told but the part of the config. */
  unknown(rule: RuleConfig, failure: EvaluationError, what: string): void
}

type Purpose = 'attributes' | 'check' | 'report' | 'rateLimit'

const PURPOSES: readonly Purpose[] = ['attributes', 'check', 'report', 'rateLimit']

/** Evaluates every rule that may concern a request, whatever it is there for. Throws only what a node would not expect. */
export function dryRun(rules: RuleSelector, bag: AttributeBag, listener: DryRunListener): void {
  const seen = new Set<RuleConfig>()
  sharingSteps(() => {
    for (const purpose of PURPOSES) {
      for (const rule of rules[purpose](bag).rules) {
        if (seen.has(rule)) continue
        seen.add(rule)
        runRule(rule, bag, listener)
      }
    }
  })
}

function runRule(rule: RuleConfig, bag: AttributeBag, listener: DryRunListener): void {
  listener.enter(rule)
  const isMatch = matchRule(rule, bag, undefined, () => undefined)
  if (isMatch instanceof EvaluationError) listener.unknown(rule, isMatch, 'match')
  if (isMatch !== true) return
  for (const { instances } of rule.actions) {
    for (const instance of instances) {
      const built = instance.build(bag)
      if (built instanceof EvaluationError) listener.unknown(rule, built, instance.name)
      bind(rule, instance, bag, listener)
    }
  }
  fillHeaders([rule], [], bag)
}

/** Bindings over an output that has a value in each field, as a handler would give it. */
function bind(rule: RuleConfig, instance: InstanceConfig, bag: AttributeBag, listener: DryRunListener): void {
  if (instance.bindings.size === 0) return
  const put = new Map<string, AttributeValue>()
  for (const [field, type] of Object.entries<ValueType>(instance.template.output ?? {})) {
    const name = instance.outputs.byField.get(field)
    const [value] = sampleValues(type)
    if (name !== undefined && value !== undefined) put.set(name, value)
  }
  const view = new OverlayBag(bag, instance.outputs.names, put)
  for (const expression of instance.bindings.values()) {
    const value = expression.evaluate(view)
    if (value instanceof EvaluationError && value.kind !== 'absent') listener.unknown(rule, value, instance.name)
  }
}
