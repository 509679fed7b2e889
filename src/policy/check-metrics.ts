// What is counted of checks.

import type { FailPolicy } from '../config/snapshot.ts'
import type { FailureKind } from '../expression/compiled.ts'
import {
  CHECK_DURATION_SECONDS,
  CHECKS_TOTAL,
  HEADER_VALUES_MISSING_TOTAL,
  RULE_MATCH_FAILURES_TOTAL,
  SHADOW_VERDICTS_TOTAL,
  UNKNOWN_VERDICTS_TOTAL,
} from '../kernel/metrics/checks.ts'
import { ROLLOUT_DECIDED_BY_STABLE_TOTAL } from '../kernel/metrics/rollout.ts'
import type { Counter, Meter } from '../kernel/ports.ts'
import { Code, type CodeName, codeName } from '../kernel/status.ts'
import type { Answer, Tier } from '../kernel/verdict.ts'
import type { VerdictOutcome } from '../cache/verdict-request.ts'
import { generationFailures } from './attribute-generation.ts'

export interface CheckMetrics {
  readonly generationFailures: Counter
  readonly matchFailures: { add(rule: string, failure: FailureKind): void }
  /** A header operation that had a value to give, and has none. */
  readonly headersWithoutValue: { add(rule: string, header: string): void }
  /** An unknown verdict that the rule's fail policy resolved. */
  readonly unknown: { add(part: { readonly rule: { readonly name: string; readonly failPolicy: FailPolicy } }): void }
  /** Checks that the config on trial could not decide. */
  readonly decidedByStable: Counter
  answered(answer: Answer, tookMs: number): void
  shadowed(rule: string, outcome: VerdictOutcome): void
  /** What the quotas of a shadow rule said, by code. */
  shadowQuota(rule: string, code: number): void
}

export function createCheckMetrics(meter: Meter): CheckMetrics {
  const checks = meter.counter(CHECKS_TOTAL)
  const durations = meter.histogram(CHECK_DURATION_SECONDS)
  const matchFailures = meter.counter(RULE_MATCH_FAILURES_TOTAL)
  const unknown = meter.counter(UNKNOWN_VERDICTS_TOTAL)
  const withoutValue = meter.counter(HEADER_VALUES_MISSING_TOTAL)
  const shadow = meter.counter(SHADOW_VERDICTS_TOTAL)
  const seriesOf = (tier: Tier) => ({ duration: durations({ tier }), byCode: new Map<CodeName, Counter>() })
  const byTier: Readonly<Record<Tier, ReturnType<typeof seriesOf>>> = {
    local: seriesOf('local'),
    mesh: seriesOf('mesh'),
    backend: seriesOf('backend'),
    stale: seriesOf('stale'),
  }
  return {
    generationFailures: generationFailures(meter),
    matchFailures: { add: (rule, reason) => matchFailures({ rule, reason }).add() },
    headersWithoutValue: { add: (rule, header) => withoutValue({ rule, header }).add() },
    decidedByStable: meter.counter(ROLLOUT_DECIDED_BY_STABLE_TOTAL)(),
    unknown: { add: ({ rule }) => unknown({ rule: rule.name, policy: rule.failPolicy }).add() },
    answered({ status, tier }, tookMs) {
      const series = byTier[tier]
      const code = codeName(status.code)
      let answers = series.byCode.get(code)
      if (answers === undefined) {
        answers = checks({ code, tier })
        series.byCode.set(code, answers)
      }
      answers.add()
      series.duration.observe(tookMs / 1000)
    },
    shadowed(rule, outcome) {
      shadow({ rule, verdict: outcome.entry === undefined ? 'unknown' : outcome.entry.verdict.kind }).add()
    },
    shadowQuota(rule, code) {
      const verdict = code === 0 ? 'allow' : code === Code.RESOURCE_EXHAUSTED ? 'deny' : 'unknown'
      shadow({ rule, verdict }).add()
    },
  }
}
