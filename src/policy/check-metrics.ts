// What is counted of checks, with series resolved once.

import type { FailureKind } from '../expression/compiled.ts'
import type { Counter, Histogram, Meter } from '../kernel/ports.ts'
import { codeName } from '../kernel/status.ts'
import type { Answer, Tier } from '../kernel/verdict.ts'
import type { VerdictOutcome } from '../cache/verdict-request.ts'
import { generationFailures } from './attribute-generation.ts'

export interface CheckMetrics {
  readonly generationFailures: Counter
  readonly matchFailures: { add(rule: string, failure: FailureKind): void }
  /** A header operation that had a value to give, and has none. */
  readonly headersWithoutValue: { add(rule: string, header: string): void }
  /** An unknown verdict that the rule's fail policy resolved. */
  readonly unknown: { add(part: { readonly rule: { readonly name: string; readonly failPolicy: string } }): void }
  answered(answer: Answer, tookMs: number): void
  shadowed(rule: string, outcome: VerdictOutcome): void
}

/** 50 µs to 2.5 s. */
const BUCKETS = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

export function createCheckMetrics(meter: Meter): CheckMetrics {
  const checks = meter.counter({
    name: 'checks_total',
    help: 'Checks answered, by status code and by the tier that gave the answer.',
    labels: ['code', 'tier'],
  })
  const durations = meter.histogram({
    name: 'check_duration_seconds',
    help: 'Time from the attribute bag to the answer, by tier.',
    labels: ['tier'],
    buckets: BUCKETS,
  })
  const matchFailures = meter.counter({
    name: 'rule_match_failures_total',
    help: 'Matches of rules that failed, other than by something absent; matchFailure and failPolicy say what then.',
    labels: ['rule', 'reason'],
  })
  const unknown = meter.counter({
    name: 'unknown_verdicts_total',
    help: 'Verdicts that no tier could give, resolved by the fail policy of the rule.',
    labels: ['rule', 'policy'],
  })
  const withoutValue = meter.counter({
    name: 'header_values_missing_total',
    help: 'Values of header operations that were absent, empty or failed, as answers were evaluated; a REPLACE left with none removes the header.',
    labels: ['rule', 'header'],
  })
  const shadow = meter.counter({
    name: 'shadow_verdicts_total',
    help: 'What rules in shadow mode would have said.',
    labels: ['rule', 'verdict'],
  })
  const counters = memo2((code: string, tier: string) => checks(code, tier))
  const histograms = new Map<Tier, Histogram>()
  for (const tier of ['local', 'mesh', 'backend', 'stale'] as const) histograms.set(tier, durations(tier))
  const failed = memo2((rule: string, reason: string) => matchFailures(rule, reason))
  const unknowns = memo2((rule: string, policy: string) => unknown(rule, policy))
  const valueless = memo2((rule: string, header: string) => withoutValue(rule, header))
  const shadows = memo2((rule: string, verdict: string) => shadow(rule, verdict))
  return {
    generationFailures: generationFailures(meter),
    matchFailures: { add: (rule, reason) => failed(rule, reason).add() },
    headersWithoutValue: { add: (rule, header) => valueless(rule, header).add() },
    unknown: { add: ({ rule }) => unknowns(rule.name, rule.failPolicy).add() },
    answered(answer, tookMs) {
      counters(codeName(answer.status.code), answer.tier).add()
      histograms.get(answer.tier)?.observe(tookMs / 1000)
    },
    shadowed(rule, outcome) {
      shadows(rule, outcome.entry === undefined ? 'unknown' : outcome.entry.verdict.kind).add()
    },
  }
}

/** Keeps resolved series by their labels, so that a request resolves none. */
function memo2<T>(create: (a: string, b: string) => T): (a: string, b: string) => T {
  const known = new Map<string, Map<string, T>>()
  return (a, b) => {
    let inner = known.get(a)
    if (inner === undefined) {
      inner = new Map()
      known.set(a, inner)
    }
    let value = inner.get(b)
    if (value === undefined) {
      value = create(a, b)
      inner.set(b, value)
    }
    return value
  }
}
