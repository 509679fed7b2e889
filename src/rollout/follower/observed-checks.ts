// Watches the checks of a process for rollouts: counts what became of them, records some requests, and shows them to the
// shadow of a candidate.

import type { CheckObserver } from '../../policy/check-observer.ts'
import type { SettledPart } from '../../policy/combine.ts'
import type { PolicyRequest } from '../../policy/policy-request.ts'
import { namespaceOf } from '../../config/request-namespace.ts'
import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import type { Answer } from '../../kernel/verdict.ts'
import type { RecordedBags } from '../recorded-bags.ts'
import type { Shadow } from '../shadow/shadow.ts'
import type { StageCounters } from '../stage-counters.ts'
import { ruleOf } from './rule-name.ts'

/** What could not be decided in a check: a handler failed, or else something could not be evaluated. */
type Undecided = 'failed' | 'unknown'

export class ObservedChecks implements CheckObserver {
  /** Evaluates a candidate beside the version that answers. */
  shadow: Shadow | undefined
  /** Whether a rollout is under way: only then is anything counted. */
  isCounting = false
  /** Those whose requests alone are counted, where the stage is about them: so processes are compared by the same ones. */
  namespaces: ReadonlySet<string> | undefined
  readonly #counters: StageCounters
  readonly #recorded: RecordedBags
  /** Checks that have no answer yet. */
  readonly #undecided = new WeakMap<PolicyRequest, Undecided>()

  constructor(counters: StageCounters, recorded: RecordedBags) {
    this.#counters = counters
    this.#recorded = recorded
  }

  answered(request: PolicyRequest, answer: Answer, tookMs: number): void {
    this.#recorded.offer(request.bag)
    if (!this.isCounting || !this.#isCounted(request.bag)) return
    const undecided = this.#undecided.get(request)
    const decided = answer.status.code === 0 ? 'allow' : 'deny'
    this.#counters.count({
      outcome: undecided === 'failed' ? 'error' : decided,
      isUnknown: undecided === 'unknown',
      rule: answer.deniedBy && ruleOf(answer.deniedBy.rule),
      us: tookMs * 1_000,
    })
    this.shadow?.offer({ bag: request.bag, answer, rules: request.state.rules })
  }

  undecided(request: PolicyRequest, parts: readonly SettledPart[]): void {
    // What one config could not decide, or what of it, may be told before the rest: the worst of it counts.
    if (!this.isCounting || this.#undecided.get(request) === 'failed') return
    const isFailed = parts.some(
      ({ outcome }) => outcome.error !== undefined && outcome.error.code !== 'EVALUATION_FAILED',
    )
    this.#undecided.set(request, isFailed ? 'failed' : 'unknown')
  }

  #isCounted(bag: AttributeBag): boolean {
    return this.namespaces === undefined || this.namespaces.has(namespaceOf(bag) ?? '')
  }

  failed(_error: unknown, bag: AttributeBag): void {
    if (this.isCounting && this.#isCounted(bag)) this.#counters.count({ outcome: 'error', isUnknown: false, us: 0 })
  }
}
