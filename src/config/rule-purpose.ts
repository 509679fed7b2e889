// What a rule is there for: the calls whose rules it belongs to.

import type { RuleConfig } from './snapshot.ts'

/** A rule may serve several purposes; header operations are part of checks. */
export type RulePurpose = 'check' | 'report' | 'attributes'

/** Whether a rule has anything to do in calls of a purpose. Attributes that a shadow rule generated would decide. */
export function serves(rule: RuleConfig, purpose: RulePurpose): boolean {
  if (purpose === 'attributes' && rule.mode === 'shadow') return false
  if (purpose === 'check' && rule.requestHeaders.length + rule.responseHeaders.length > 0) return true
  return rule.actions.some(({ instances }) =>
    instances.some(({ template }) =>
      purpose === 'check' ? template.variety === 'check' || template.variety === 'quota' : template.variety === purpose,
    ),
  )
}
