// A check without effects: what the rules of a config say of a request, as far as that can be known without asking,
// charging or reporting anything.

import { instanceKey } from '../../cache/instance-key.ts'
import type { RuleSelector } from '../../config/rule-index.ts'
import type { HandlerConfig, InstanceConfig, RuleConfig } from '../../config/snapshot.ts'
import { EvaluationError } from '../../expression/compiled.ts'
import { sharingSteps } from '../../expression/steps.ts'
import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import { isAsked } from '../../policy/evaluate.ts'
import { matchRule } from '../../policy/rule-match.ts'
import type { DryHandlers, DryVerdict } from './dry-handlers.ts'

/** One question of a check and what is known of its answer. */
export interface DryPart {
  readonly rule: RuleConfig
  readonly handler: string
  /** The same for equal questions to handlers with equal params. */
  readonly key: string
  readonly verdict: DryVerdict
}

/** What a check comes to. `unknown`: it is denied since something is unknown and the rule is closed. */
export type JudgementKind = 'allow' | 'deny' | 'unknown'

export interface Judgement {
  readonly kind: JudgementKind
  /** The rule that decided; `undefined` where nothing denied. */
  readonly rule: RuleConfig | undefined
}

/** What is asked, in rule order. Quotas are left out: nothing is charged, so that they say nothing. */
export function dryParts(rules: RuleSelector, bag: AttributeBag, handlers: DryHandlers): readonly DryPart[] {
  return sharingSteps(() => {
    const parts: DryPart[] = []
    for (const rule of rules.check(bag).rules) if (rule.mode === 'enforce') collect(rule, bag, handlers, parts)
    return parts
  })
}

function collect(rule: RuleConfig, bag: AttributeBag, handlers: DryHandlers, into: DryPart[]): void {
  const isMatch = matchRule(rule, bag, undefined, () => undefined)
  if (isMatch instanceof EvaluationError && isAsked(rule))
    into.push({ rule, handler: rule.name, key: '', verdict: 'unknown' })
  if (isMatch !== true) return
  for (const { handler, instances } of rule.actions) {
    for (const instance of instances) {
      if (instance.template.variety === 'check') into.push(partOf(rule, handler, instance, bag, handlers))
    }
  }
}

function partOf(
  rule: RuleConfig,
  handler: HandlerConfig,
  config: InstanceConfig,
  bag: AttributeBag,
  handlers: DryHandlers,
): DryPart {
  const instance = config.build(bag)
  if (instance instanceof EvaluationError) return { rule, handler: handler.name, key: '', verdict: 'unknown' }
  const verdict = handlers.verdict(handler, instance, bag)
  // Open questions alone are compared by it.
  const key = verdict === 'open' ? instanceKey(handler.digest, instance) : ''
  return { rule, handler: handler.name, key, verdict }
}

/** What the parts come to; `undefined` where an open one could make it something else. */
export function conclude(parts: readonly DryPart[]): Judgement | undefined {
  let isOpen = false
  for (const { rule, verdict } of parts) {
    if (verdict === 'open') isOpen = true
    if (verdict === 'deny') return { kind: 'deny', rule }
    if (verdict !== 'unknown' || rule.failPolicy === 'open') continue
    // Denied whatever the open ones say, but they might have said it first.
    return isOpen ? undefined : { kind: 'unknown', rule }
  }
  return isOpen ? undefined : { kind: 'allow', rule: undefined }
}
