// Answers checks: from whole answers that were given before where one fits, else by evaluating the rules over the
// handlers' verdicts.

import type { AnswerCache, AnswerScope, StoredAnswer } from '../cache/answer-cache.ts'
import { ReadCollector } from '../cache/read-collector.ts'
import type { Epoch, Revocations } from '../cache/revocations.ts'
import type { VerdictCache } from '../cache/verdict-cache.ts'
import type { CandidateSet } from '../config/rule-index.ts'
import type { RuleConfig } from '../config/snapshot.ts'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import type { ReferencedAttribute } from '../kernel/read-log.ts'
import type { CheckOptions, CheckOutcome, CheckService, QuotaGrant } from '../kernel/services.ts'
import type { Answer } from '../kernel/verdict.ts'
import { generateAttributes } from './attribute-generation.ts'
import type { CheckMetrics } from './check-metrics.ts'
import { combineVerdicts, type SettledPart } from './combine.ts'
import { type Evaluation, evaluateRules } from './evaluate.ts'
import { fillHeaders } from './header-operations.ts'
import type { PolicyState } from './policy-state.ts'
import { grantQuota } from './quota.ts'

export interface CheckEngineOptions {
  readonly clock: Clock
  readonly metrics: CheckMetrics
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
}

/** Where attributes were generated: the bag as it came, and what the generators read of it. */
interface Generation {
  readonly original: AttributeBag
  readonly inputs: ReadCollector
}

interface Call {
  readonly state: PolicyState
  readonly bag: AttributeBag
  readonly generation: Generation | undefined
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

  check(original: AttributeBag, options: CheckOptions): CheckOutcome | Promise<CheckOutcome> {
    const { clock, metrics } = this.#options
    const startedAt = clock.monotonic()
    const state = this.#state()
    const deadline = startedAt + options.timeoutMs
    const answer = (bag: AttributeBag, generation?: Generation) => {
      const plan = this.#plan(state.rules.check(bag))
      return this.#answer({ state, bag, generation, plan, options, deadline, startedAt })
    }
    if (state.rules.attributes(original).rules.length === 0) return answer(original)
    const inputs = new ReadCollector()
    const generators = state.rules.attributes(original, inputs).rules
    const generated = generateAttributes(original, generators, state.handlers, {
      deadline,
      failures: metrics.generationFailures,
      log: inputs,
    })
    const proceed = (bag: AttributeBag) => answer(bag, { original, inputs })
    return generated instanceof Promise ? generated.then(proceed) : proceed(generated)
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
      }
      this.#plans.set(candidates, plan)
    }
    return plan
  }

  #answer(call: Call): CheckOutcome | Promise<CheckOutcome> {
    const { plan, bag } = call
    if (plan.shadow.length > 0) this.#shadow(call)
    if (plan.scope !== undefined && this.#options.answers !== undefined) {
      const now = this.#options.clock.monotonic()
      const stored = this.#options.answers.find(plan.scope, bag, plan.handlers, now)
      if (stored !== undefined) return this.#finish(call, serve(stored, now))
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
      matchFailed: (rule) => metrics.matchFailures.add(rule.name),
    })
    const parts = settle(evaluation)
    const conclude = (settled: readonly SettledPart[]) =>
      this.#finish(call, this.#conclude(call, evaluation, settled, reads, epoch))
    return parts instanceof Promise ? parts.then(conclude) : conclude(parts)
  }

  #conclude(
    call: Call,
    evaluation: Evaluation,
    parts: readonly SettledPart[],
    reads: ReadCollector,
    epoch: Epoch,
  ): Answer {
    const now = this.#options.clock.monotonic()
    const combined = combineVerdicts(evaluation.matched, parts, now)
    const allowed = combined.status.code === 0
    const headers = allowed ? fillHeaders(evaluation.matched, parts, call.bag, reads) : fillHeaders([], [], call.bag)
    const answer: Answer = {
      status: combined.status,
      validForMs: Math.max(0, Math.floor(combined.freshUntil - now)),
      validUses: Math.max(0, combined.validUses),
      tier: combined.tier,
      ageMs: Math.max(0, Math.round(now - combined.createdAt)),
      referenced: this.#referenced(call, reads),
      requestHeaders: headers.request,
      responseHeaders: headers.response,
      ...(combined.directResponse === undefined ? {} : { directResponse: combined.directResponse }),
    }
    for (const part of parts) if (part.outcome.entry === undefined) this.#options.metrics.unknown.add(part)
    const { answers } = this.#options
    if (answers !== undefined && call.plan.scope !== undefined && combined.reusable && combined.freshUntil > now) {
      answers.store(call.plan.scope, reads.steps, {
        answer,
        createdAt: combined.createdAt,
        freshUntil: combined.freshUntil,
        epoch: oldest(
          epoch,
          combined.entries.map((entry) => entry.epoch),
        ),
        parts: combined.entries,
        usesLeft: combined.validUses,
      })
    }
    return answer
  }

  /**
   * What the answer depends on, as callers that keep answers must know it: the reads of the evaluation, those that
   * chose the rules, and in place of generated attributes the inputs of their generators.
   */
  #referenced(call: Call, reads: ReadCollector): readonly ReferencedAttribute[] {
    const selection = new ReadCollector()
    call.state.rules.check(call.bag, selection)
    const seen = new Map<string, ReferencedAttribute>()
    const original = call.generation === undefined ? undefined : new Set(call.generation.original.names())
    for (const entry of [...reads.referenced(), ...selection.referenced()]) {
      const isGenerated = original !== undefined && !original.has(entry.name) && call.bag.get(entry.name) !== undefined
      if (!isGenerated) seen.set(referenceId(entry), entry)
    }
    for (const entry of call.generation?.inputs.referenced() ?? []) seen.set(referenceId(entry), entry)
    return [...seen].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry)
  }

  #finish(call: Call, answer: Answer): CheckOutcome | Promise<CheckOutcome> {
    const { clock, metrics } = this.#options
    metrics.answered(answer, clock.monotonic() - call.startedAt)
    const { quotas } = call.options
    if (quotas === undefined || quotas.size === 0 || answer.status.code !== 0) return { answer, quotas: NO_QUOTAS }
    return this.#quotas(call, answer, quotas)
  }

  async #quotas(call: Call, answer: Answer, demands: NonNullable<CheckOptions['quotas']>): Promise<CheckOutcome> {
    const deduplicationId = call.options.deduplicationId ?? ''
    const grants = [...demands].map(async ([name, demand]): Promise<[string, QuotaGrant]> => {
      const request = { ...demand, name, deduplicationId }
      const context = { handlers: call.state.handlers, deadline: call.deadline }
      return [name, await grantQuota(request, call.plan.enforced, call.bag, context)]
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
      matchFailed: (rule) => metrics.matchFailures.add(rule.name),
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

function serve(stored: StoredAnswer, now: number): Answer {
  let validUses = stored.usesLeft
  for (const part of stored.parts) validUses = Math.min(validUses, part.usesLeft)
  return {
    ...stored.answer,
    tier: 'local',
    validForMs: Math.max(0, Math.floor(stored.freshUntil - now)),
    validUses: Math.max(0, validUses),
    ageMs: Math.max(0, Math.round(now - stored.createdAt)),
  }
}

function referenceId({ name, key, whole }: ReferencedAttribute): string {
  return `${name}\n${key ?? ''}\n${whole}`
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
