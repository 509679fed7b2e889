// Evaluates the candidate rules of a check: which match, what their instances hold, and what the handlers say.

import type { VerdictCache } from '../cache/verdict-cache.ts'
import type { VerdictOutcome } from '../cache/verdict-request.ts'
import type { RuleConfig } from '../config/snapshot.ts'
import { EvaluationError } from '../expression/compiled.ts'
import { sharingSteps } from '../expression/steps.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import type { HandlerTable } from './handler-table.ts'
import { evaluationFailure, type MatchFailed, matchRule } from './rule-match.ts'

/** One instance of one action of a rule that matched. */
export interface Part {
  readonly rule: RuleConfig
  readonly handler: string
  readonly instance: string
  /** The action's name, by which header operations refer to its output. */
  readonly action: string | undefined
  readonly outcome: VerdictOutcome | Promise<VerdictOutcome>
}

export interface Evaluation {
  /** Rules that matched, in order. */
  readonly matched: readonly RuleConfig[]
  /** What was asked, in rule order. */
  readonly parts: readonly Part[]
}

export interface EvaluationContext {
  readonly handlers: HandlerTable
  readonly verdicts: Pick<VerdictCache, 'get'>
  /** On the monotonic clock. */
  readonly deadline: number
  readonly log?: ReadLog
  readonly matchFailed: MatchFailed
}

/**
 * Evaluates rules in order; all handlers are asked at once. An instance that several rules use is asked for once. A
 * rule of which it is unknown whether it matches is one part that is unknown, for its fail policy to resolve.
 */
export function evaluateRules(rules: readonly RuleConfig[], bag: AttributeBag, context: EvaluationContext): Evaluation {
  return sharingSteps(() => evaluateAll(rules, bag, context))
}

function evaluateAll(rules: readonly RuleConfig[], bag: AttributeBag, context: EvaluationContext): Evaluation {
  const matched: RuleConfig[] = []
  const parts: Part[] = []
  const asked = new Map<string, Part['outcome']>()
  for (const rule of rules) {
    const isMatch = matchRule(rule, bag, context.log, context.matchFailed)
    if (isMatch instanceof EvaluationError && isAsked(rule)) parts.push(unknownPart(rule, isMatch))
    if (isMatch !== true) continue
    matched.push(rule)
    for (const action of rule.actions) {
      for (const instance of action.instances) {
        if (instance.template.variety !== 'check') continue
        const id = `${action.handler.name}\n${instance.name}`
        let outcome = asked.get(id)
        if (outcome === undefined) {
          outcome = ask(action.handler.name, instance, bag, context)
          asked.set(id, outcome)
        }
        parts.push({ rule, handler: action.handler.name, instance: instance.name, action: action.name, outcome })
      }
    }
  }
  return { matched, parts }
}

/** Whether the rule has a say in the answer; one with quotas alone has a say in those. */
export function isAsked({ actions, requestHeaders, responseHeaders }: RuleConfig): boolean {
  if (requestHeaders.length + responseHeaders.length > 0) return true
  return actions.some(({ instances }) => instances.some(({ template }) => template.variety === 'check'))
}

function unknownPart(rule: RuleConfig, failure: EvaluationError): Part {
  const outcome = { error: evaluationFailure('match', failure) }
  return { rule, handler: rule.name, instance: '', action: undefined, outcome }
}

function ask(
  handler: string,
  config: RuleConfig['actions'][number]['instances'][number],
  bag: AttributeBag,
  context: EvaluationContext,
): Part['outcome'] {
  const instance = config.build(bag, context.log)
  if (instance instanceof EvaluationError) {
    return { error: evaluationFailure(config.name, instance) }
  }
  const source = context.handlers.get(handler)
  if (source === undefined) return { error: new IntermixError('INTERNAL', `${handler} is not running`) }
  return context.verdicts.get({ source, instance, bag, deadline: context.deadline })
}
