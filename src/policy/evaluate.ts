// Evaluates the candidate rules of a check: which match, what their instances hold, and what the handlers say.

import type { VerdictCache } from '../cache/verdict-cache.ts'
import type { VerdictOutcome } from '../cache/verdict-request.ts'
import type { RuleConfig } from '../config/snapshot.ts'
import { EvaluationError } from '../expression/compiled.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import type { HandlerTable } from './handler-table.ts'

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
  /** Hears of a match that could not be evaluated; the rule then does not match. */
  matchFailed(rule: RuleConfig, error: EvaluationError): void
}

/** Evaluates rules in order; all handlers are asked at once. An instance that several rules use is asked for once. */
export function evaluateRules(rules: readonly RuleConfig[], bag: AttributeBag, context: EvaluationContext): Evaluation {
  const matched: RuleConfig[] = []
  const parts: Part[] = []
  const asked = new Map<string, Part['outcome']>()
  for (const rule of rules) {
    if (!matches(rule, bag, context)) continue
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

function matches(rule: RuleConfig, bag: AttributeBag, context: EvaluationContext): boolean {
  if (rule.match === undefined) return true
  const value = rule.match.evaluate(bag, context.log)
  if (value instanceof EvaluationError) context.matchFailed(rule, value)
  return value === true
}

function ask(
  handler: string,
  config: RuleConfig['actions'][number]['instances'][number],
  bag: AttributeBag,
  context: EvaluationContext,
): Part['outcome'] {
  const instance = config.build(bag, context.log)
  if (instance instanceof EvaluationError) {
    return { error: new IntermixError('INTERNAL', `${config.name}: ${instance.message}`) }
  }
  const source = context.handlers.get(handler)
  if (source === undefined) return { error: new IntermixError('INTERNAL', `${handler} is not running`) }
  return context.verdicts.get({ source, instance, bag, deadline: context.deadline })
}
