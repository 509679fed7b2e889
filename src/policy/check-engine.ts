// Answers checks: from whole answers that were given before where one fits, else by evaluating the rules over the
// handlers' verdicts.

import type { AnswerCache, Findings } from '../cache/answer-cache.ts'
import { ReadCollector } from '../cache/read-collector.ts'
import type { Revocations } from '../cache/revocations.ts'
import type { Epoch } from '../kernel/revocation.ts'
import type { UseBudget } from '../cache/use-budget.ts'
import type { VerdictCache } from '../cache/verdict-cache.ts'
import { namespaceOf, unknownNamespace } from '../config/request-namespace.ts'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import type { Clock } from '../kernel/ports.ts'
import type { ReadLog, ReferencedAttribute } from '../kernel/read-log.ts'
import type { CheckOptions, CheckOutcome, CheckService, QuotaGrant } from '../kernel/services.ts'
import { type Answer, NOT_JUDGED } from '../kernel/verdict.ts'
import { afterWaiting, givenAgain, oldestEpoch, usesFor } from '../cache/answer-life.ts'
import type { CheckLog } from './check-log.ts'
import type { CheckMetrics } from './check-metrics.ts'
import type { CheckObserver } from './check-observer.ts'
import { combineVerdicts, type SettledPart } from './combine.ts'
import { type Evaluation, evaluateRules } from './evaluate.ts'
import { fillHeaders, NO_HEADERS } from './header-operations.ts'
import type { PolicyRequest, PolicyRequests } from './policy-request.ts'
import { namedQuotas } from './quota.ts'
import type { QuotaEngine } from './quota-engine.ts'
import { metUnknown, referencesOf, sharedReads } from './references.ts'
import { type ChargeLog, chargeRules, chargeShadow, type Charging, giveBackUnused } from './rule-quotas.ts'
import { evaluateShadow } from './shadow-rules.ts'
import { beginLater, onceOf, type Trial, undecidedBefore, unkept } from './trial.ts'
import { type KeptFor, NOT_TOLD, SameCharges, type Told, toldCharged, toldOf } from './told-answer.ts'

export interface CheckEngineOptions {
  readonly clock: Clock
  readonly metrics: CheckMetrics
  readonly log: CheckLog
  readonly verdicts: VerdictCache
  /** `undefined` switches whole answers off. */
  readonly answers: AnswerCache | undefined
  /** Hears of answers that were evaluated: how long it took, in ms. */
  readonly answerMissed?: ((ms: number) => void) | undefined
  readonly revocations: Revocations
  readonly requests: PolicyRequests
  readonly quotas: QuotaEngine
  /** `undefined` where nobody watches. */
  readonly observer?: CheckObserver | undefined
  /** `undefined` while the current config is not on trial. */
  readonly trial?: (() => Trial | undefined) | undefined
}

const NO_QUOTAS: ReadonlyMap<string, QuotaGrant> = new Map()
const NO_REFERENCES: readonly ReferencedAttribute[] = []

type Call = PolicyRequest<CheckOptions>
/** Answers a request of which parts are undecided in another way than by fail policies; `undefined` where there is none. */
type Instead = (undecided: readonly SettledPart[]) => CheckOutcome | Promise<CheckOutcome> | undefined

/** An evaluation that is under way. */
interface Begun {
  readonly parts: readonly SettledPart[] | Promise<readonly SettledPart[]>
  readonly evaluation: Evaluation
  readonly reads: ReadCollector
  readonly epoch: Epoch
}

export class CheckEngine implements CheckService {
  readonly #options: CheckEngineOptions

  constructor(options: CheckEngineOptions) {
    this.#options = options
  }

  vocabulary(): Vocabulary {
    return this.#options.requests.state().snapshot.vocabulary
  }

  check(bag: AttributeBag, options: CheckOptions): CheckOutcome | Promise<CheckOutcome> {
    const { requests, observer } = this.#options
    const isUnused = options.uses !== undefined && options.uses < 0
    if (isUnused) return requests.handle(bag, options, this.#giveBack)
    if (observer === undefined) return this.#checked(bag, options)
    try {
      const outcome = this.#checked(bag, options)
      if (outcome instanceof Promise) outcome.catch((error: unknown) => observer.failed(error, bag))
      return outcome
    } catch (error) {
      observer.failed(error, bag)
      throw error
    }
  }

  #checked(bag: AttributeBag, options: CheckOptions): CheckOutcome | Promise<CheckOutcome> {
    const { requests } = this.#options
    const trial = this.#options.trial?.()
    if (trial === undefined) return requests.handle(bag, options, this.#answer)
    const { behind, namespaces } = trial
    if (namespaces === undefined) return this.#tried(bag, options)
    // The stable config says whose request it is, and nothing of the one on trial is asked for others. What an answer depended
    // on does not tell the namespace: whoever kept it would give it to others, too.
    const once = onceOf(options, this.#options.clock)
    return unkept(
      requests.handleBy(behind, bag, once, (call) =>
        namespaces.has(namespaceOf(call.bag) ?? '') ? this.#tried(bag, once) : this.#answer(call),
      ),
    )
  }

  /** Nobody waits for it: what cannot be given back comes back with time. */
  readonly #giveBack = (call: Call): CheckOutcome => {
    const { charging = 'all', uses = 0 } = call.options
    if (charging === 'all')
      void call.state.handlers.hold(giveBackUnused(chargingOf(call), -uses)).catch(() => undefined)
    return { answer: NOT_JUDGED, quotas: NO_QUOTAS }
  }

  /**
   * Answers by the config on trial. What it cannot decide, the one behind it does, as all others do that have not got it yet, and
   * begins to halfway through the request's time. Nobody keeps such an answer, and observers hear of what was undecided.
   */
  #tried(bag: AttributeBag, options: CheckOptions): CheckOutcome | Promise<CheckOutcome> {
    const { clock, requests, observer, metrics } = this.#options
    const state = requests.state()
    const once = onceOf(options, clock)
    const byStable = <T>(proceed: (call: Call) => T | Promise<T>): T | Promise<T> | undefined => {
      // The trial may have ended meanwhile: with the stable config, or with this one.
      const stable = this.#options.trial?.()?.behind ?? requests.state()
      return stable === state ? undefined : requests.handleBy(stable, bag, once, proceed)
    }
    const decide = (call: Call, undecided: readonly SettledPart[], begun?: Begun) => {
      metrics.decidedByStable.add()
      const passes = this.#otherReading(call, undecided)
      const proceed = (outcome?: CheckOutcome) => {
        if (outcome !== undefined && outcome.answer.status.code !== 0) return outcome
        if (undecided.length > 0) observer?.undecided(call, undecided)
        return this.#find(call, undefined, begun)
      }
      return undecidedBefore(passes instanceof Promise ? passes.then(proceed) : proceed(passes))
    }
    const begun = beginLater(clock, once, (wanted: Promise<readonly SettledPart[]>) =>
      byStable(async (call) => {
        const evaluation = this.#begin(call)
        return decide(call, await wanted, evaluation)
      }),
    )
    const instead = (undecided: readonly SettledPart[]) =>
      begun.take(undecided) ?? byStable((call) => decide(call, undecided))
    return begun.until(requests.handle(bag, options, (call) => this.#answer(call, instead)))
  }

  /** What this config says of another reading of the request, where the one on trial has answered that; quotas are charged with the first. */
  #otherReading(
    { state, options: { alsoRead, isUndecided, ...options } }: Call,
    undecided: readonly SettledPart[],
  ): CheckOutcome | Promise<CheckOutcome> | undefined {
    if (alsoRead === undefined || isUndecided === true) return undefined
    return this.#options.requests.handleBy(state, alsoRead, { ...options, charging: 'none' as const }, (call) => {
      this.#options.observer?.undecided(call, undecided)
      return this.#find(call, undefined)
    })
  }

  readonly #answer = (call: Call, instead?: Instead): CheckOutcome | Promise<CheckOutcome> => {
    if (call.plan.shadow.length > 0) evaluateShadow(call, this.#options)
    return this.#find(call, instead)
  }

  #find(call: Call, instead: Instead | undefined, begun?: Begun): CheckOutcome | Promise<CheckOutcome> {
    const { plan, bag } = call
    // Kept answers are those of requests in whose namespace the rules of the plan apply.
    const isTold = !plan.namespaced || unknownNamespace(bag) === undefined
    if (plan.scope !== undefined && this.#options.answers !== undefined && isTold) {
      const now = call.preparedAt
      const stored = this.#options.answers.find(plan.scope, bag, plan.handlers, now)
      if (stored !== undefined) {
        const isLeft = call.options.isUndecided === true && stored.answer.status.code === 0
        const other = isLeft ? instead?.([]) : undefined
        if (other !== undefined) return other
        const uses = usesFor(call.options, stored)
        const answer = givenAgain(stored, now, uses, this.#references(call, stored.reads))
        return this.#finish(call, answer, call.choosing && stored, instead)
      }
    }
    return this.#evaluate(call, instead, begun ?? this.#begin(call))
  }

  #begin({ bag, deadline, plan, state }: Call): Begun {
    const { metrics, verdicts, revocations } = this.#options
    const reads = new ReadCollector()
    const { epoch } = revocations
    const evaluation = evaluateRules(plan.enforced, bag, {
      handlers: state.handlers,
      verdicts,
      deadline,
      log: reads,
      matchFailed: (rule, { kind }) => metrics.matchFailures.add(rule.name, kind),
    })
    return { parts: settle(evaluation), evaluation, reads, epoch }
  }

  #evaluate(
    call: Call,
    instead: Instead | undefined,
    { parts, evaluation, reads, epoch }: Begun,
  ): CheckOutcome | Promise<CheckOutcome> {
    const { metrics } = this.#options
    const conclude = (settled: readonly SettledPart[]) => {
      const undecided = settled.filter((part) => part.outcome.entry === undefined)
      for (const part of undecided) {
        metrics.unknown.add(part)
        this.#options.log.unknown(part)
      }
      // A denial by what is known stands, whatever the rest would have said.
      const isLeft = (undecided.length > 0 || call.options.isUndecided === true) && !settled.some(isDenied)
      const other = isLeft ? instead?.(undecided) : undefined
      if (other !== undefined) return other
      if (undecided.length > 0) this.#options.observer?.undecided(call, undecided)
      return this.#conclude(call, evaluation, settled, { reads, epoch, instead })
    }
    return parts instanceof Promise ? parts.then(conclude) : conclude(parts)
  }

  #conclude(
    call: Call,
    evaluation: Evaluation,
    parts: readonly SettledPart[],
    { reads: collector, epoch, instead }: Pick<Begun, 'reads' | 'epoch'> & { readonly instead: Instead | undefined },
  ): CheckOutcome | Promise<CheckOutcome> {
    const now = this.#options.clock.monotonic()
    const combined = combineVerdicts(evaluation.matched, parts, now)
    const allowed = combined.status.code === 0
    const missing = this.#options.metrics.headersWithoutValue
    const headers = allowed ? fillHeaders(evaluation.matched, parts, call.bag, collector, missing) : NO_HEADERS
    const reads = sharedReads(collector.referenced())
    const { entries, isUseBound } = combined
    const isLasting = combined.reusable && !metUnknown(call.bag, reads)
    const freshUntil = isLasting ? combined.freshUntil : now
    const budget: UseBudget = { parts: entries, isUseBound, usesLeft: isLasting ? combined.validUses : 0 }
    const findings: Findings = {
      status: combined.status,
      validForMs: Math.max(0, Math.floor(freshUntil - now)),
      validUses: usesFor(call.options, budget),
      tier: combined.tier,
      ageMs: Math.max(0, Math.ceil(now - combined.createdAt)),
      requestHeaders: headers.request,
      responseHeaders: headers.response,
      directResponse: combined.directResponse,
      deniedBy: combined.deniedBy,
    }
    const answer = { ...findings, referenced: this.#references(call, reads) }
    const { scope } = call.plan
    if (this.#options.answers === undefined || scope === undefined || !isLasting || freshUntil <= now)
      return this.#finish(call, answer, undefined, instead)
    const { steps } = collector
    const { createdAt } = combined
    const oldest = oldestEpoch(epoch, entries)
    this.#options.answerMissed?.(now - call.preparedAt)
    const stored = { ...budget, answer: findings, reads, createdAt, freshUntil, epoch: oldest }
    this.#options.answers.store(scope, steps, stored)
    return this.#finish(call, answer, call.choosing && { ...stored, steps }, instead)
  }

  /** @param reads what the evaluation read, this one or the one that gave the answer before */
  #references(call: Call, reads: readonly ReferencedAttribute[]): readonly ReferencedAttribute[] {
    return call.selection === undefined ? NO_REFERENCES : referencesOf(call, reads)
  }

  /**
   * Charges what the rules charge, then tells of the answer.
   * @param kept the answer as others may have it, where the caller keeps answers
   */
  #finish(
    call: Call,
    answer: Answer,
    kept: KeptFor | undefined,
    instead: Instead | undefined,
  ): CheckOutcome | Promise<CheckOutcome> {
    const { options, plan } = call
    const isCharged = answer.status.code === 0 && (options.charging ?? 'all') === 'all'
    const isCounted = isCharged && plan.shadowCharging.length > 0
    if (isCounted) chargeShadow({ call, rules: plan.shadowCharging }, this.#options.metrics)
    if (!isCharged || (plan.charging.length === 0 && options.alsoRead === undefined))
      return this.#answered(call, answer, kept && !isCounted ? toldOf(call, kept) : undefined)
    const { clock } = this.#options
    const since = clock.monotonic()
    const isOwn = isCounted || options.alsoRead !== undefined || (options.quotas?.size ?? 0) > 0
    const same = kept === undefined || isOwn ? undefined : new SameCharges(call, kept)
    const heard: ChargeLog = { failed: [], isCharged: false }
    const finish = (done: Answer, waitedMs: number) => {
      const own = () => this.#answered(call, afterWaiting(done, waitedMs), toldCharged(answer, done, same))
      if (heard.failed.length === 0) return own()
      const undecided = heard.failed.map(({ error, ...part }) => ({ ...part, action: undefined, outcome: { error } }))
      // A quota that is used up denies for certain; and what was charged is not charged again by another config.
      const isCertain = done.status.code !== 0 && heard.failed.every(({ rule }) => rule.failPolicy === 'open')
      const other = isCertain || heard.isCharged ? undefined : instead?.(undecided)
      if (other !== undefined) return other
      this.#options.observer?.undecided(call, undecided)
      return own()
    }
    const charged = this.#charge(call, answer, same, heard)
    return charged instanceof Promise
      ? charged.then((done) => finish(done, clock.monotonic() - since))
      : finish(charged, 0)
  }

  #charge(call: Call, answer: Answer, same: SameCharges | undefined, heard: ChargeLog): Answer | Promise<Answer> {
    const { alsoRead } = call.options
    if (alsoRead === undefined) return chargeRules([chargingOf(call, same?.log)], answer, same, heard)
    // The time has run since the request came.
    const options = { ...call.options, startedAt: call.startedAt, references: false }
    const own = chargingOf(call)
    // The caller is granted what it names by one reading only.
    return this.#options.requests.handleBy(call.state, alsoRead, options, (other) =>
      chargeRules([own, { ...own, call: other, rules: other.plan.charging }], answer, undefined, heard),
    )
  }

  /** @param told `undefined` for what nobody may keep, such as an answer that paid for a quota once */
  #answered(call: Call, answer: Answer, told: Told = NOT_TOLD): CheckOutcome | Promise<CheckOutcome> {
    const { clock, metrics, log, observer } = this.#options
    const answeredAt = clock.monotonic()
    metrics.answered(answer, answeredAt - call.startedAt)
    observer?.answered(call, answer, answeredAt - call.startedAt)
    if (answer.status.code !== 0) log.denied(answer)
    const { quotas, charging } = call.options
    if (quotas === undefined || quotas.size === 0 || answer.status.code !== 0 || charging === 'none')
      return { answer, quotas: NO_QUOTAS, answeredAt, ...told }
    return this.#options.quotas.grant(call, quotas).then((grants) => {
      const grantedAt = clock.monotonic()
      const late = afterWaiting(answer, grantedAt - answeredAt)
      return { answer: late, quotas: grants, answeredAt: grantedAt, ...told }
    })
  }
}

function chargingOf(call: Call, log?: ReadLog): Charging {
  const { plan, bag, options } = call
  return { call, rules: plan.charging, log, named: namedQuotas(options.quotas?.keys() ?? [], plan.enforced, bag) }
}

function isDenied({ outcome: { entry } }: SettledPart): boolean {
  return entry !== undefined && entry.verdict.status.code !== 0
}

function settle({ parts }: Evaluation): readonly SettledPart[] | Promise<readonly SettledPart[]> {
  if (!parts.some((part) => part.outcome instanceof Promise)) return parts as readonly SettledPart[]
  return Promise.all(parts.map(async (part) => ({ ...part, outcome: await part.outcome })))
}
