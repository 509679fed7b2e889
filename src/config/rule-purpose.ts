// What a rule is there for: the calls whose rules it belongs to.

import { RATE_LIMIT_ATTRIBUTES } from '../kernel/rate-limit-attributes.ts'
import type { CompiledExpression } from '../expression/compiled.ts'
import type { HeaderTemplate, RuleConfig } from './snapshot.ts'

/** A rule may serve several purposes; header operations are part of checks. */
export type RulePurpose = 'check' | 'report' | 'attributes' | 'rateLimit'

/** Whether a rule has anything to do in calls of a purpose. Attributes that a shadow rule generated would decide. */
export function serves(rule: RuleConfig, purpose: RulePurpose): boolean {
  if (readsRateLimits(rule) !== (purpose === 'rateLimit')) return false
  if (purpose === 'attributes' && rule.mode === 'shadow') return false
  if (purpose === 'check' && rule.requestHeaders.length + rule.responseHeaders.length > 0) return true
  return rule.actions.some(({ instances }) =>
    instances.some(({ template }) =>
      purpose === 'check'
        ? template.variety === 'check' || template.variety === 'quota'
        : template.variety === (purpose === 'rateLimit' ? 'quota' : purpose),
    ),
  )
}

/** Whether a rule reads what only demands for rate limits have: elsewhere it could never be evaluated, so it is not asked. */
export function readsRateLimits({ match, actions, requestHeaders, responseHeaders }: RuleConfig): boolean {
  const reads = (expression: CompiledExpression | undefined) =>
    expression?.references.some(({ attribute }) => RATE_LIMIT_ATTRIBUTES.has(attribute)) === true
  const inHeader = ({ values }: HeaderTemplate) => values.some(reads)
  return (
    reads(match) ||
    actions.some(({ instances }) => instances.some(({ expressions }) => [...expressions.values()].some(reads))) ||
    requestHeaders.some(inHeader) ||
    responseHeaders.some(inHeader)
  )
}
