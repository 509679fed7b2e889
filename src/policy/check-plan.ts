// What is worth knowing again and again of the rules that may apply to a request.

import type { AnswerCache, AnswerScope } from '../cache/answer-cache.ts'
import type { CandidateSet } from '../config/rule-index.ts'
import type { RuleConfig } from '../config/snapshot.ts'

/** One set of candidate rules, looked at once. */
export interface CheckPlan {
  /** Where whole answers of these rules are kept; `undefined` where none are. */
  readonly scope: AnswerScope | undefined
  readonly enforced: readonly RuleConfig[]
  readonly shadow: readonly RuleConfig[]
  /** Those of the enforced and of the shadow rules that charge quotas. */
  readonly charging: readonly RuleConfig[]
  readonly shadowCharging: readonly RuleConfig[]
  /** Names of the handlers that enforced rules can call. */
  readonly handlers: readonly string[]
  /** Whether there are enforced rules, and each of them lets pass what it cannot decide. */
  readonly failsOpen: boolean
  /** Whether the namespace of the request decides which of the rules apply. */
  readonly namespaced: boolean
}

/** Plans by their candidates; a plan lives as long as its config does. */
export class CheckPlans {
  readonly #answers: AnswerCache | undefined
  readonly #plans = new WeakMap<CandidateSet, CheckPlan>()

  /** @param answers `undefined` switches whole answers off */
  constructor(answers: AnswerCache | undefined) {
    this.#answers = answers
  }

  of(candidates: CandidateSet): CheckPlan {
    let plan = this.#plans.get(candidates)
    if (plan === undefined) {
      const enforced = candidates.rules.filter((rule) => rule.mode === 'enforce')
      const shadow = candidates.rules.filter((rule) => rule.mode === 'shadow')
      plan = {
        scope: this.#answers?.scope(candidates.digest),
        enforced,
        shadow,
        charging: enforced.filter(isCharging),
        shadowCharging: shadow.filter(isCharging),
        handlers: [...new Set(enforced.flatMap((rule) => rule.actions.map((action) => action.handler.name)))],
        failsOpen: enforced.length > 0 && enforced.every((rule) => rule.failPolicy === 'open'),
        namespaced: !enforced.every((rule) => rule.everywhere),
      }
      this.#plans.set(candidates, plan)
    }
    return plan
  }
}

function isCharging({ actions }: RuleConfig): boolean {
  return actions.some(({ instances }) => instances.some(({ template }) => template.variety === 'quota'))
}
