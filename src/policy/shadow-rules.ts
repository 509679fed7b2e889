// Rules in shadow mode are evaluated beside the answer: what they would have said is counted, and never waited for.

import type { VerdictCache } from '../cache/verdict-cache.ts'
import type { CheckMetrics } from './check-metrics.ts'
import { evaluateRules } from './evaluate.ts'
import type { PolicyRequest } from './policy-request.ts'

/** Evaluates the shadow rules of a request's plan. Returns at once. */
export function evaluateShadow(
  { bag, deadline, plan, state }: PolicyRequest,
  { metrics, verdicts }: { readonly metrics: CheckMetrics; readonly verdicts: Pick<VerdictCache, 'get'> },
): void {
  const evaluation = evaluateRules(plan.shadow, bag, {
    handlers: state.handlers,
    verdicts,
    deadline,
    matchFailed: (rule, { kind }) => metrics.matchFailures.add(rule.name, kind),
  })
  for (const part of evaluation.parts) {
    void Promise.resolve(part.outcome).then((outcome) => metrics.shadowed(part.rule.name, outcome))
  }
}
