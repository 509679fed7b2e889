// Answers checks: from whole answers that were given before where one fits, else by evaluating the rules over the
// handlers' verdicts.

import type { AnswerCache, AnswerScope, Findings, StoredAnswer } from '../cache/answer-cache.ts'
import { ReadCollector } from '../cache/read-collector.ts'
import type { Epoch, Revocations } from '../cache/revocations.ts'
import { handOutUses, type UseBudget, usesLeft } from '../cache/use-budget.ts'
import type { VerdictCache } from '../cache/verdict-cache.ts'
import { unknownNamespace } from '../config/request-namespace.ts'
import type { CandidateSet } from '../config/rule-index.ts'
import type { RuleConfig } from '../config/snapshot.ts'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import type { ReferencedAttribute } from '../kernel/read-log.ts'
import type { CheckOptions, CheckOutcome, CheckService, QuotaGrant } from '../kernel/services.ts'
import type { Answer } from '../kernel/verdict.ts'
import { generateAttributes } from './attribute-generation.ts'
import type { CheckLog } from './check-log.ts'
import type { CheckMetrics } from './check-metrics.ts'
import { combineVerdicts, type SettledPart } from './combine.ts'
import { type Evaluation, evaluateRules } from './evaluate.ts'
import { fillHeaders, NO_HEADERS } from './header-operations.ts'
import type { PolicyState } from './policy-state.ts'
import { grantQuota } from './quota.ts'
import { metUnknown, referencesOf } from './references.ts'

export interface CheckEngineOptions {
  readonly clock: Clock
  readonly metrics: CheckMetrics
  readonly log: CheckLog
  readonly verdicts: VerdictCache
  /** `undefined` switches whole answers off. */
  readonly answers: AnswerCache | undefined
  readonly revocations: Revocations
  /** The current config; `undefined` before the first one is in. */
  state(): PolicyState | undefined
}

const NO_QUOTAS: ReadonlyMap<string, QuotaGrant> = new Map()

/** Per set of candidate rules: what is worth knowing of it again and again. */
interface Plan {
  readonly scope: AnswerScope | undefined
  readonly enforced: readonly RuleConfig[]
  readonly shadow: readonly RuleConfig[]
  readonly handlers: readonly string[]
  /** Whether the namespace of the request decides which of the rules apply. */
  readonly namespaced: boolean
}

interface Call {
  readonly state: PolicyState
  /** The request's attributes, generated ones beside them. */
  readonly bag: AttributeBag
  /** What generating read of the request; `undefined` where nothing was generated, or nobody asks. */
  readonly inputs: ReadCollector | undefined
  /** What choosing the rules read; `undefined` where nobody asks what the answer depended on. */
  readonly selection: ReadCollector | undefined
  readonly plan: Plan
  readonly options: CheckOptions
  readonly deadline: number
  readonly startedAt: number
}

export class CheckEngine implements CheckService {
  readonly #options: CheckEngineOptions
  readonly #plans = new WeakMap<CandidateSet, Plan>()

  constructor(options: CheckEngineOptions) {
    this.#options = options
  }

  vocabulary(): Vocabulary {
    return this.#state().snapshot.vocabulary
  }

  check(own: AttributeBag, options: CheckOptions): CheckOutcome | Promise<CheckOutcome> {
    const state = this.#state()
    const outcome = this.#check(state, own, options)
    return outcome instanceof Promise ? state.handlers.hold(outcome) : outcome
  }

  #check(state: PolicyState, own: AttributeBag, options: CheckOptions): CheckOutcome | Promise<CheckOutcome> {
    const { clock, metrics } = this.#options
    const startedAt = clock.monotonic()
    const deadline = startedAt + options.timeoutMs
    const answer = (bag: AttributeBag, inputs?: ReadCollector) => {
      const selection = options.references === false ? undefined : new ReadCollector()
      const plan = this.#plan(state.rules.check(bag, selection))
      return this.#answer({ state, bag, inputs, selection, plan, options, deadline, startedAt })
    }
    if (!state.rules.generatesAttributes) return answer(own)
    const inputs = options.references === false ? undefined : new ReadCollector()
    const generators = state.rules.attributes(own, inputs).rules
    const bag = generateAttributes(own, generators, state.handlers, {
      deadline,
      failures: metrics.generationFailures,
      failed: 'unknown',
      log: inputs,
    })
    return bag instanceof Promise ? bag.then((completed) => answer(completed, inputs)) : answer(bag, inputs)
  }

  #state(): PolicyState {
    const state = this.#options.state()
    if (state === undefined) throw new IntermixError('NOT_READY', 'the config is not loaded yet')
    return state
  }

  #plan(candidates: CandidateSet): Plan {
    let plan = this.#plans.get(candidates)
    if (plan === undefined) {
      const enforced = candidates.rules.filter((rule) => rule.mode === 'enforce')
      plan = {
        scope: this.#options.answers?.scope(candidates.digest),
        enforced,
        shadow: candidates.rules.filter((rule) => rule.mode === 'shadow'),
        handlers: [...new Set(enforced.flatMap((rule) => rule.actions.map((action) => action.handler.name)))],
        namespaced: !enforced.every((rule) => rule.everywhere),
      }
      this.#plans.set(candidates, plan)
    }
    return plan
  }

  #answer(call: Call): CheckOutcome | Promise<CheckOutcome> {
    const { plan, bag } = call
    if (plan.shadow.length > 0) this.#shadow(call)
    // Kept answers are those of requests in whose namespace the rules of the plan apply.
    const isTold = !plan.namespaced || unknownNamespace(bag) === undefined
    if (plan.scope !== undefined && this.#options.answers !== undefined && isTold) {
      const now = this.#options.clock.monotonic()
      const stored = this.#options.answers.find(plan.scope, bag, plan.handlers, now)
      if (stored !== undefined) return this.#finish(call, serve(stored, now, usesFor(call, stored)), stored.reads)
    }
    return this.#evaluate(call)
  }

  #evaluate(call: Call): CheckOutcome | Promise<CheckOutcome> {
    const { metrics, verdicts, revocations } = this.#options
    const { bag, deadline, plan, state } = call
    const reads = new ReadCollector()
    const epoch = revocations.epoch
    const evaluation = evaluateRules(plan.enforced, bag, {
      handlers: state.handlers,
      verdicts,
      deadline,
      log: reads,
      matchFailed: (rule, { kind }) => metrics.matchFailures.add(rule.name, kind),
    })
    const parts = settle(evaluation)
    const conclude = (settled: readonly SettledPart[]) => this.#conclude(call, evaluation, settled, reads, epoch)
    return parts instanceof Promise ? parts.then(conclude) : conclude(parts)
  }

  #conclude(
    call: Call,
    evaluation: Evaluation,
    parts: readonly SettledPart[],
    collector: ReadCollector,
    epoch: Epoch,
  ): CheckOutcome | Promise<CheckOutcome> {
    const now = this.#options.clock.monotonic()
    const combined = combineVerdicts(evaluation.matched, parts, now)
    const allowed = combined.status.code === 0
    const missing = this.#options.metrics.headersWithoutValue
    const headers = allowed ? fillHeaders(evaluation.matched, parts, call.bag, collector, missing) : NO_HEADERS
    const reads = collector.referenced()
    const { entries, isUseBound } = combined
    const isLasting = combined.reusable && !metUnknown(call.bag, reads)
    const freshUntil = isLasting ? combined.freshUntil : now
    const budget: UseBudget = { parts: entries, isUseBound, usesLeft: isLasting ? combined.validUses : 0 }
    const answer: Findings = {
      status: combined.status,
      validForMs: Math.max(0, Math.floor(freshUntil - now)),
      validUses: usesFor(call, budget),
      tier: combined.tier,
      ageMs: Math.max(0, Math.round(now - combined.createdAt)),
      requestHeaders: headers.request,
      responseHeaders: headers.response,
      ...(combined.directResponse === undefined ? {} : { directResponse: combined.directResponse }),
      ...(combined.deniedBy === undefined ? {} : { deniedBy: combined.deniedBy }),
    }
    for (const part of parts) {
      if (part.outcome.entry !== undefined) continue
      this.#options.metrics.unknown.add(part)
      this.#options.log.unknown(part)
    }
    const { answers } = this.#options
    if (answers !== undefined && call.plan.scope !== undefined && isLasting && freshUntil > now) {
      answers.store(call.plan.scope, collector.steps, {
        ...budget,
        answer,
        reads,
        createdAt: combined.createdAt,
        freshUntil,
        epoch: oldest(
          epoch,
          entries.map((entry) => entry.epoch),
        ),
      })
    }
    return this.#finish(call, answer, reads)
  }

  /** @param reads what the evaluation read, this one or the one that gave the answer before */
  #finish(call: Call, findings: Findings, reads: readonly ReferencedAttribute[]): CheckOutcome | Promise<CheckOutcome> {
    const { clock, metrics, log } = this.#options
    const referenced = call.selection === undefined ? [] : referencesOf(call, reads, call.selection.referenced())
    const answer: Answer = { ...findings, referenced }
    metrics.answered(answer, clock.monotonic() - call.startedAt)
    log.answered(answer)
    const { quotas } = call.options
    if (quotas === undefined || quotas.size === 0 || answer.status.code !== 0) return { answer, quotas: NO_QUOTAS }
    return this.#quotas(call, answer, quotas)
  }

  async #quotas(call: Call, answer: Answer, demands: NonNullable<CheckOptions['quotas']>): Promise<CheckOutcome> {
    const deduplicationId = call.options.deduplicationId ?? ''
    // Which rules may have the quota depended on what choosing them read.
    const chosenBy = call.selection?.referenced() ?? []
    const grants = [...demands].map(async ([name, demand]): Promise<[string, QuotaGrant]> => {
      const request = { ...demand, name, deduplicationId }
      const context = { handlers: call.state.handlers, deadline: call.deadline }
      const grant = await grantQuota(request, call.plan.enforced, call.bag, context)
      return [name, { ...grant, referenced: referencesOf(call, grant.referenced, chosenBy) }]
    })
    return { answer, quotas: new Map(await Promise.all(grants)) }
  }

  /** Evaluates shadow rules beside the answer: they are counted and never waited for. */
  #shadow(call: Call): void {
    const { metrics, verdicts } = this.#options
    const { bag, deadline, plan, state } = call
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
}

function settle({ parts }: Evaluation): readonly SettledPart[] | Promise<readonly SettledPart[]> {
  if (!parts.some((part) => part.outcome instanceof Promise)) return parts as readonly SettledPart[]
  return Promise.all(parts.map(async (part) => ({ ...part, outcome: await part.outcome })))
}

/** Uses that the caller is told of: those that are left here, or those that it gets for itself. */
function usesFor({ options }: Call, budget: UseBudget): number {
  return options.keepsAnswer === true ? handOutUses(budget) : usesLeft(budget)
}

function serve(stored: StoredAnswer, now: number, validUses: number): Findings {
  return {
    ...stored.answer,
    tier: 'local',
    validForMs: Math.max(0, Math.floor(stored.freshUntil - now)),
    validUses,
    ageMs: Math.max(0, Math.round(now - stored.createdAt)),
  }
}

/** The earliest of several epochs; where the sequence started anew in between, one that nothing allows. */
function oldest(first: Epoch, others: readonly Epoch[]): Epoch {
  let epoch = first
  for (const other of others) {
    if (other.generation !== epoch.generation) return { generation: '', sequence: 0 }
    if (other.sequence < epoch.sequence) epoch = other
  }
  return epoch
}
