// Counts, by rule, how often it was unknown what the rule says.

import type { RuleConfig } from '../../config/snapshot.ts'
import type { EvaluationError } from '../../expression/compiled.ts'
import { evaluationFailure } from '../../policy/rule-match.ts'
import type { UnknownRule } from './preflight-report.ts'

/** Rules that are told; those that concern recorded requests come first. */
const MAX_TOLD = 50

export class UnknownRules {
  readonly #found = new Map<RuleConfig, { recorded: number; madeUp: number; readonly example: string }>()

  add(rule: RuleConfig, failure: EvaluationError, { what, isRecorded }: { what: string; isRecorded: boolean }): void {
    let found = this.#found.get(rule)
    if (found === undefined) {
      found = { recorded: 0, madeUp: 0, example: evaluationFailure(what, failure).message }
      this.#found.set(rule, found)
    }
    if (isRecorded) found.recorded++
    else found.madeUp++
  }

  list(): readonly UnknownRule[] {
    return Array.from(this.#found, ([{ name, failPolicy }, counts]) => ({ rule: name, failPolicy, ...counts }))
      .toSorted((a, b) => b.recorded - a.recorded || b.madeUp - a.madeUp)
      .slice(0, MAX_TOLD)
  }
}
