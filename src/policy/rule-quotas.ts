// The quotas of rules that apply to an allowed request, whether or not its caller knows of them: where one is used up, the
// request is denied after all.

import type { LimitStanding, QuotaCharge, QuotaResult } from '../adapter-kit/define-adapter.ts'
import type { ActionConfig, InstanceConfig, RuleConfig } from '../config/snapshot.ts'
import { EvaluationError } from '../expression/compiled.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import { Code, type Status } from '../kernel/status.ts'
import type { CheckOptions } from '../kernel/services.ts'
import { type Answer, DEFAULT_VALID_USES } from '../kernel/verdict.ts'
import { refusedMs, usableMs, usesAhead } from './charged-ahead.ts'
import type { CheckMetrics } from './check-metrics.ts'
import { limitHeaders, retryAfterSeconds } from './limit-headers.ts'
import type { PolicyRequest } from './policy-request.ts'
import { demandId, ownIdOf, quotaId } from './quota.ts'
import { evaluationFailure, type MatchFailed, matchRule } from './rule-match.ts'
import { isRefusal, type RunningHandler } from './running-handler.ts'

type Call = PolicyRequest<CheckOptions>

/** An instance to charge. */
interface Wanted {
  readonly rule: RuleConfig
  readonly handler: string
  /** The name of the instance. */
  readonly instance: string
  readonly running: RunningHandler
  readonly charge: QuotaCharge
  /** What its instance says is the same for each retry; empty where the request does. */
  readonly ownId: string
}

/** What could not be charged, and why. */
export interface Failed {
  readonly rule: RuleConfig
  readonly handler: string
  readonly instance: string
  readonly error: IntermixError
}

/** What a charge came to, beside what it says. */
export interface ChargeLog {
  /** What fail policies resolved. */
  readonly failed: Failed[]
  /** Whether anything was charged. */
  isCharged: boolean
}

/** What became of the quotas of a request. */
export interface Charged {
  readonly limits: readonly LimitStanding[]
  readonly refusal: { readonly rule: string; readonly handler: string; readonly status: Status } | undefined
}

/** The rules that charge quotas for a request, or for a reading of it. */
export interface Charging {
  readonly call: Pick<Call, 'bag' | 'options' | 'state' | 'deadline'>
  readonly rules: readonly RuleConfig[]
  /** The quotas that the caller judges itself, as `quotaId` has them. */
  readonly named: ReadonlySet<string>
  /** What is charged where an instance does not say; 0 only looks, whatever instances say. 1 unless given. */
  readonly hits?: number
  /** Hears what choosing and making the charges reads, where that is to be told. */
  readonly log?: ReadLog | undefined
  /** Hears of matches that fail, where nobody has heard of them yet. */
  readonly matchFailed?: MatchFailed
}

/** What a caller that keeps answers wants beside the one that is answered. */
export interface Ahead {
  /** Most uses of the answer that are paid for at once, this one among them. */
  readonly uses: number
  /** Whether what was read says who else would be charged the same; to be asked when the charges are known. */
  mayKeep(): boolean
}

/**
 * Charges the quotas of some rules, for an answer that allows. The answer itself where they charge nothing. Else it is nobody's
 * to give again, since it was paid for once; but for a caller that keeps answers: it may have paid for further uses, and gives
 * a refusal again for a moment.
 */
export function chargeRules(
  readings: readonly Charging[],
  answer: Answer,
  ahead?: Ahead,
  heard?: ChargeLog,
): Answer | Promise<Answer> {
  const asked = groupsOf(readings, heard)
  if (asked === NOTHING) return answer
  const deadline = deadlineOf(readings)
  const conclude = (charged: Charged) => {
    if (charged.refusal !== undefined) {
      const forMs = ahead === undefined ? 0 : refusedMs(charged.limits)
      return refused(answer, charged, forMs > 0 && ahead?.mayKeep() === true ? forMs : 0)
    }
    const further = 'groups' in asked ? furtherOf(asked.groups, charged, answer, ahead) : undefined
    if (further === undefined) return paid(answer, charged)
    const paidAhead = (more: Charged) =>
      more.refusal === undefined ? kept(answer, more, further.uses) : paid(answer, charged)
    const more = chargeGroup(further.group, deadline)
    return more instanceof Promise ? more.then(paidAhead) : paidAhead(more)
  }
  const charged = chargeAll(asked, deadline, heard)
  return charged instanceof Promise ? charged.then(conclude) : conclude(charged)
}

/**
 * Charges the quotas of some rules; each once, whichever of the readings wants it. What one handler is asked for is charged
 * together, handler by handler in rule order; the first one that refuses ends it.
 */
export function chargeQuotas(readings: readonly Charging[]): Charged | Promise<Charged> {
  return chargeAll(groupsOf(readings), deadlineOf(readings))
}

/** Gives back what was charged for so many uses of an answer and has not been used. Rejects with what handlers reject with. */
export async function giveBackUnused(charging: Charging, uses: number): Promise<void> {
  const asked = groupsOf([charging])
  // What has an id of its own was charged for one request, and is known by that.
  const unused = 'groups' in asked ? asked.groups.map((group) => group.filter(({ ownId }) => ownId === '')) : []
  await Promise.all(
    unused.map(async (group) => {
      const amounts = group.map(({ charge: { instance, request } }) => ({ instance, amount: request.amount * uses }))
      await group[0]?.running.quotaUnused(amounts, charging.call.deadline)
    }),
  )
}

const NOTHING: Charged = { limits: [], refusal: undefined }

type Groups = readonly (readonly Wanted[])[]

/** What is charged, or what has become of it already. */
function groupsOf(readings: readonly Charging[], heard?: ChargeLog): { readonly groups: Groups } | Charged {
  const { wanted, failed } = wantedOf(readings, heard)
  if (failed !== undefined) return { limits: [], refusal: refusalOf(failed) }
  if (wanted.length === 0) return NOTHING
  return { groups: wanted.length === 1 ? [wanted] : [...Map.groupBy(wanted, groupOf).values()] }
}

function deadlineOf([first]: readonly Charging[]): number {
  return first?.call.deadline ?? 0
}

function chargeAll(
  asked: { readonly groups: Groups } | Charged,
  deadline: number,
  heard?: ChargeLog,
): Charged | Promise<Charged> {
  return 'groups' in asked ? chargeGroups(asked.groups, deadline, NOTHING, heard) : asked
}

/**
 * The same charges for further uses of an answer, as far as there is room; `undefined` where each use is charged by itself. What
 * several handlers charge is not: what one of them refuses the other ones would have charged in vain.
 */
function furtherOf(
  [group = [], ...others]: Groups,
  { limits }: Charged,
  { validUses, validForMs }: Answer,
  ahead: Ahead | undefined,
): { readonly uses: number; readonly group: readonly Wanted[] } | undefined {
  if (ahead === undefined || others.length > 0 || validForMs <= 0 || usableMs(limits) === 0) return undefined
  if (group.some(({ ownId }) => ownId !== '')) return undefined
  const amount = Math.max(...group.map(({ charge }) => charge.request.amount))
  const uses = usesAhead(limits, amount, Math.min(ahead.uses - 1, validUses))
  return uses > 0 && ahead.mayKeep() ? { uses, group: group.map((each) => timesOf(each, uses)) } : undefined
}

function timesOf(wanted: Wanted, uses: number): Wanted {
  const { instance, request } = wanted.charge
  const { amount, deduplicationId: id } = request
  const deduplicationId = id === '' ? '' : demandId(`${id} ahead`)
  return { ...wanted, charge: { instance, request: { ...request, amount: amount * uses, deduplicationId } } }
}

/** A retry is known by its id as a whole, so what has an id of its own is charged apart from the rest. */
function groupOf({ handler, charge, ownId }: Wanted): string {
  return JSON.stringify([handler, charge.instance.template, ownId])
}

const NONE: ReadonlySet<string> = new Set()

/** Charges the quotas of shadow rules beside the answer, and counts what they would have said. Returns at once. */
export function chargeShadow(
  { call, rules, ...how }: Omit<Charging, 'named'>,
  metrics: Pick<CheckMetrics, 'shadowQuota'>,
): void {
  for (const rule of rules) {
    const tell = (charged: Charged) => {
      // A rule that does not apply says nothing.
      if (charged !== NOTHING) metrics.shadowQuota(rule.name, charged.refusal?.status.code ?? Code.OK)
    }
    // Nobody judges it: who names a quota is answered by rules that are enforced.
    const charged = chargeQuotas([{ call, rules: [rule], named: NONE, ...how }])
    if (charged instanceof Promise) void call.state.handlers.hold(charged).then(tell)
    else tell(charged)
  }
}

/**
 * What rules want to charge. Where it is unknown whether a rule applies, its quota is charged, or under a fail policy that is
 * closed the request denied: nobody gets around a limit by a match that fails.
 */
function wantedOf(readings: readonly Charging[], heard?: ChargeLog): { wanted: readonly Wanted[]; failed?: Failed } {
  const wanted: Wanted[] = []
  const seen = new Set<string>()
  for (const { call, rules, named, hits, log, matchFailed = UNHEARD } of readings) {
    for (const rule of rules) {
      const isMatch = matchRule(rule, call.bag, log, matchFailed)
      if (isMatch === false) continue
      for (const { action, config, id } of quotasOf(rule)) {
        const handler = action.handler.name
        if (seen.has(id) || named.has(id)) continue
        seen.add(id)
        const found =
          isMatch instanceof EvaluationError && rule.failPolicy === 'closed'
            ? evaluationFailure('match', isMatch)
            : wantedBy(call, handler, config, log, hits)
        const instance = config.name
        if (!(found instanceof IntermixError)) {
          wanted.push({ rule, handler, instance, ...found })
          continue
        }
        const failed = { rule, handler, instance, error: found }
        heard?.failed.push(failed)
        if (rule.failPolicy === 'closed') return { wanted, failed }
      }
    }
  }
  return { wanted }
}

/** What failed was counted when the check was answered. */
const UNHEARD: MatchFailed = () => undefined

function wantedBy(
  { bag, options, state }: Charging['call'],
  handler: string,
  config: InstanceConfig,
  log: ReadLog | undefined,
  hits = 1,
): Pick<Wanted, 'running' | 'charge' | 'ownId'> | IntermixError {
  const instance = config.build(bag, log)
  if (instance instanceof EvaluationError) return evaluationFailure(config.name, instance)
  const running = state.handlers.get(handler)
  if (running === undefined) return new IntermixError('INTERNAL', `${config.name}: the handler is not running`)
  const amount = hits === 0 ? 0 : Number(instance.fields['amount'] ?? hits)
  if (!Number.isSafeInteger(amount) || amount < 0)
    return new IntermixError('EVALUATION_FAILED', `${config.name}: the amount ${amount} cannot be charged`)
  const ownId = ownIdOf(instance)
  const deduplicationId = demandId(ownId === '' ? (options.deduplicationId ?? '') : ownId)
  return { running, ownId, charge: { instance, request: { amount, bestEffort: false, deduplicationId } } }
}

/** A quota that a rule charges, with the action that it belongs to. */
interface RuleQuota {
  readonly action: ActionConfig
  readonly config: InstanceConfig
  /** As `quotaId` has it. */
  readonly id: string
}

const quotasByRule = new WeakMap<RuleConfig, readonly RuleQuota[]>()

/** The quotas that a rule charges; a rule never changes. */
export function quotasOf(rule: RuleConfig): readonly RuleQuota[] {
  let quotas = quotasByRule.get(rule)
  if (quotas === undefined) {
    quotas = rule.actions.flatMap((action) =>
      action.instances
        .filter(({ template }) => template.variety === 'quota')
        .map((config) => ({ action, config, id: quotaId(action.handler.name, config) })),
    )
    quotasByRule.set(rule, quotas)
  }
  return quotas
}

function chargeGroups(
  groups: readonly (readonly Wanted[])[],
  deadline: number,
  before: Charged,
  heard?: ChargeLog,
): Charged | Promise<Charged> {
  const [group, ...others] = groups
  if (group === undefined || before.refusal !== undefined) return before
  const proceed = (charged: Charged) =>
    chargeGroups(others, deadline, { limits: [...before.limits, ...charged.limits], refusal: charged.refusal }, heard)
  const charged = chargeGroup(group, deadline, heard)
  return charged instanceof Promise ? charged.then(proceed) : proceed(charged)
}

function chargeGroup(group: readonly Wanted[], deadline: number, heard?: ChargeLog): Charged | Promise<Charged> {
  const failed = (caught: unknown): Charged => {
    const error = IntermixError.from(caught)
    heard?.failed.push(...group.map(({ rule, handler, instance }) => ({ rule, handler, instance, error })))
    // A handler that fails says nothing of the limit: the first rule that is closed denies.
    const closed = group.find(({ rule }) => rule.failPolicy === 'closed')
    if (closed === undefined) return { limits: [], refusal: undefined }
    return { limits: [], refusal: refusalOf({ ...closed, error }) }
  }
  const judge = (results: readonly QuotaResult[]): Charged => {
    const limits = results.flatMap((result) => result.limits ?? [])
    // What is charged together is refused together: the one that is used up says so.
    const usedUp = results.findIndex(({ status }) => status.code !== 0)
    const index =
      usedUp >= 0 ? usedUp : results.findIndex((result, at) => isRefusal(result, group[at]?.charge.request.amount))
    const over = group[index]
    const result = results[index]
    if (over === undefined || result === undefined) {
      if (heard !== undefined) heard.isCharged = true
      return { limits, refusal: undefined }
    }
    const { code, message } = result.status
    const text = message === '' ? 'the quota is used up' : message
    const status = { code: code === 0 ? Code.RESOURCE_EXHAUSTED : code, message: `${over.handler}:${text}` }
    return { limits, refusal: { rule: over.rule.name, handler: over.handler, status } }
  }
  try {
    const results = group[0]?.running.quotaTogether(
      group.map(({ charge }) => charge),
      deadline,
    )
    if (results instanceof Promise) return results.then(judge, failed)
    return judge(results ?? [])
  } catch (caught) {
    return failed(caught)
  }
}

function refusalOf({ rule, handler, error }: Pick<Failed, 'rule' | 'handler' | 'error'>): Charged['refusal'] {
  const { code, message } = error.status
  return { rule: rule.name, handler, status: { code, message: `${handler}:${message}` } }
}

function paid(answer: Answer, { limits }: Charged): Answer {
  const responseHeaders = [...answer.responseHeaders, ...limitHeaders(limits)]
  return { ...answer, responseHeaders, validForMs: 0, validUses: 0 }
}

/** With further uses that were paid for; none where their time is over already. */
function kept(answer: Answer, charged: Charged, uses: number): Answer {
  const forMs = usableMs(charged.limits)
  if (forMs === 0) return paid(answer, charged)
  return { ...paid(answer, charged), validForMs: Math.min(answer.validForMs, forMs), validUses: uses }
}

/** @param forMs how long it may be given again */
function refused(answer: Answer, { limits, refusal }: Charged, forMs: number): Answer {
  const seconds = retryAfterSeconds(limits)
  const headers = Object.fromEntries(limitHeaders(limits).map(({ name, value }) => [name, value]))
  if (seconds !== undefined) headers['retry-after'] = String(seconds)
  return {
    ...answer,
    status: refusal?.status ?? answer.status,
    validForMs: forMs,
    validUses: forMs === 0 ? 0 : DEFAULT_VALID_USES,
    requestHeaders: [],
    responseHeaders: [],
    directResponse: { code: 0, body: '', headers },
    deniedBy: refusal && { rule: refusal.rule, handler: refusal.handler },
  }
}
