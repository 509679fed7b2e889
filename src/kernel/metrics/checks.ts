// Metrics of checks: answers, and what kept rules from being judged.

import { counter, histogram } from './define.ts'
import { EVALUATION_FAILURES, RULE } from './labels.ts'

const CODE = 'name of a google.rpc.Code'
const TIERS = ['local', 'mesh', 'backend', 'stale'] as const

export const CHECKS_TOTAL = counter({
  name: 'checks_total',
  unit: 'checks',
  help: 'Checks answered, by status code and by the tier that gave the answer.',
  labels: { code: CODE, tier: TIERS },
})

export const CHECK_DURATION_SECONDS = histogram({
  name: 'check_duration_seconds',
  unit: 'seconds',
  help: 'Time from the attribute bag to the answer, by tier.',
  labels: { tier: TIERS },
  // 50 µs to 2.5 s.
  buckets: [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
})

export const RULE_MATCH_FAILURES_TOTAL = counter({
  name: 'rule_match_failures_total',
  unit: 'matches',
  help: 'Matches of rules that failed, other than by something absent; matchFailure and failPolicy say what then.',
  labels: { rule: RULE, reason: EVALUATION_FAILURES },
})

export const UNKNOWN_VERDICTS_TOTAL = counter({
  name: 'unknown_verdicts_total',
  unit: 'verdicts',
  help: 'Verdicts that no tier could give, resolved by the fail policy of the rule.',
  labels: { rule: RULE, policy: ['open', 'closed'] },
})

export const HEADER_VALUES_MISSING_TOTAL = counter({
  name: 'header_values_missing_total',
  unit: 'values',
  help: 'Values of header operations that were absent, empty or failed, as answers were evaluated; a REPLACE left with none removes the header.',
  labels: { rule: RULE, header: 'name of the header' },
})

export const SHADOW_VERDICTS_TOTAL = counter({
  name: 'shadow_verdicts_total',
  unit: 'verdicts',
  help: 'What rules in shadow mode would have said.',
  labels: { rule: RULE, verdict: ['allow', 'deny', 'unknown'] },
})

export const AMBIGUOUS_REQUESTS_TOTAL = counter({
  name: 'ambiguous_requests_total',
  unit: 'checks',
  help: 'Checks that were refused because their path or host can be read in two ways, by what makes it so.',
  labels: { reason: 'an ambiguity as `--allow-ambiguous-paths` names it, `path` or `host`' },
})

export const ATTRIBUTE_GENERATION_FAILURES_TOTAL = counter({
  name: 'attribute_generation_failures_total',
  unit: 'failures',
  help: 'Attribute generators, or bindings of theirs, that failed; in checks what they would have given is unknown.',
})
