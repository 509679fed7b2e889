// Doubts about rules that limit the rates which callers describe: what they say beside quotas, and what they read beside that.

import { RATE_LIMIT_ATTRIBUTES } from '../kernel/rate-limit-attributes.ts'
import type { ExpressionSite } from './compile-context.ts'
import type { ConfigObject } from './objects.ts'
import type { ProblemList } from './problem-list.ts'
import { DESTINATION_NAMESPACE } from './request-namespace.ts'
import { readsRateLimits } from './rule-purpose.ts'
import type { Sliced } from './slices.ts'
import type { RuleConfig } from './snapshot.ts'

/** Warns of actions that never come about, and of attributes that are never there. */
export function* warnOfRateLimits(
  rules: ReadonlyMap<ConfigObject, RuleConfig>,
  sites: ReadonlyMap<string, readonly ExpressionSite[]>,
  problems: ProblemList,
): Sliced<void> {
  for (const [object, rule] of rules) {
    yield
    if (!readsRateLimits(rule)) continue
    const instances = rule.actions.flatMap((action) => action.instances)
    const idle = instances.filter(({ template }) => template.variety !== 'quota').map(({ name }) => `"${name}"`)
    if (rule.requestHeaders.length + rule.responseHeaders.length > 0) idle.push('header operations')
    if (idle.length > 0) {
      const message = `the rule reads "ratelimit.…", so it is there for rate limits only, and they are quotas: ${idle.join(', ')} never come about. Put them into a rule of their own.`
      problems.warn(object.nameNode, 'rate-limit-rule', message)
    }
    for (const name of [rule.name, ...instances.map((each) => each.name)])
      for (const site of sites.get(name) ?? []) warnOfAbsent(site, problems)
  }
}

function warnOfAbsent({ node, expression }: ExpressionSite, problems: ProblemList): void {
  for (const attribute of new Set(expression.references.map((each) => each.attribute))) {
    if (RATE_LIMIT_ATTRIBUTES.has(attribute) || attribute === DESTINATION_NAMESPACE) continue
    const message = `"${attribute}" is absent where a rate limit is asked for: have the proxy send it in a descriptor.`
    problems.within('warning', node, Math.max(0, node.text.indexOf(attribute)), 'rate-limit-rule', message)
  }
}
