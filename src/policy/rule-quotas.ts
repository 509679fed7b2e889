// The quotas of rules that apply to an allowed request, whether or not its caller knows of them: where one is used up, the
// request is denied after all.

import type { LimitStanding, QuotaCharge, QuotaResult } from '../adapter-kit/define-adapter.ts'
import type { ActionConfig, InstanceConfig, RuleConfig } from '../config/snapshot.ts'
import { EvaluationError } from '../expression/compiled.ts'
import { IntermixError } from '../kernel/errors.ts'
import { Code, type Status } from '../kernel/status.ts'
import type { CheckOptions } from '../kernel/services.ts'
import type { Answer } from '../kernel/verdict.ts'
import type { CheckMetrics } from './check-metrics.ts'
import { limitHeaders, retryAfterSeconds } from './limit-headers.ts'
import type { PolicyRequest } from './policy-request.ts'
import { demandId } from './quota.ts'
import { evaluationFailure, matchRule } from './rule-match.ts'
import { isRefusal } from './running-handler.ts'

type Call = PolicyRequest<CheckOptions>

/** An instance to charge, or why that is not possible. */
interface Wanted {
  readonly rule: RuleConfig
  readonly handler: string
  readonly charge: QuotaCharge
}

interface Failed {
  readonly rule: RuleConfig
  readonly handler: string
  readonly error: IntermixError
}

/** What became of the quotas of a request. */
interface Charged {
  readonly limits: readonly LimitStanding[]
  readonly refusal: { readonly rule: string; readonly handler: string; readonly status: Status } | undefined
}

/**
 * Charges the quotas of some rules, for an answer that allows. What one handler is asked for is charged together, handler by
 * handler in rule order; the first one that refuses ends it. The answer is nobody's to give again: it was paid for once.
 */
export function chargeRules(call: Call, rules: readonly RuleConfig[], answer: Answer): Answer | Promise<Answer> {
  const { wanted, failed } = wantedOf(call, rules)
  if (failed !== undefined) return refused(answer, { limits: [], refusal: refusalOf(failed) })
  if (wanted.length === 0) return answer
  const groups = [...Map.groupBy(wanted, ({ handler, charge }) => `${handler} ${charge.instance.template}`).values()]
  const conclude = (charged: Charged) =>
    charged.refusal === undefined ? paid(answer, charged) : refused(answer, charged)
  const charged = chargeGroups(call, groups, { limits: [], refusal: undefined })
  return charged instanceof Promise ? charged.then(conclude) : conclude(charged)
}

/** Charges the quotas of shadow rules beside the answer, and counts what they would have said. Returns at once. */
export function chargeShadow(call: Call, answer: Answer, metrics: Pick<CheckMetrics, 'shadowQuota'>): void {
  for (const rule of call.plan.shadowCharging) {
    const tell = ({ status }: Answer) => metrics.shadowQuota(rule.name, status.code)
    const charged = chargeRules(call, [rule], answer)
    if (charged instanceof Promise) void charged.then(tell)
    else tell(charged)
  }
}

/**
 * What rules want to charge. Where it is unknown whether a rule applies, its quota is charged, or under a fail policy that is
 * closed the request denied: nobody gets around a limit by a match that fails.
 */
function wantedOf({ bag, options, state }: Call, rules: readonly RuleConfig[]): { wanted: Wanted[]; failed?: Failed } {
  const wanted: Wanted[] = []
  const seen = new Set<string>()
  for (const rule of rules) {
    // What failed was counted when the check was answered.
    const isMatch = matchRule(rule, bag, undefined, () => undefined)
    if (isMatch === false) continue
    for (const { action, config } of quotasOf(rule)) {
      const handler = action.handler.name
      const id = `${handler}\n${config.name}`
      if (seen.has(id) || isNamed(options, config)) continue
      seen.add(id)
      const failed = (failure: EvaluationError, what: string) => ({
        rule,
        handler,
        error: evaluationFailure(what, failure),
      })
      if (isMatch instanceof EvaluationError && rule.failPolicy === 'closed')
        return { wanted, failed: failed(isMatch, 'match') }
      const instance = config.build(bag)
      if (instance instanceof EvaluationError) {
        if (rule.failPolicy === 'open') continue
        return { wanted, failed: failed(instance, config.name) }
      }
      const amount = Number(instance.fields['amount'] ?? 1n)
      if (state.handlers.get(handler) === undefined || !Number.isSafeInteger(amount) || amount < 0) {
        if (rule.failPolicy === 'open') continue
        const message = `${config.name}: the amount ${amount} cannot be charged`
        return { wanted, failed: { rule, handler, error: new IntermixError('EVALUATION_FAILED', message) } }
      }
      const own = instance.fields['deduplicationId']
      const given = typeof own === 'string' ? own : (options.deduplicationId ?? '')
      const deduplicationId = given === '' ? '' : demandId(given, config.name)
      wanted.push({ rule, handler, charge: { instance, request: { amount, bestEffort: false, deduplicationId } } })
    }
  }
  return { wanted }
}

function quotasOf({ actions }: RuleConfig): { readonly action: ActionConfig; readonly config: InstanceConfig }[] {
  return actions.flatMap((action) =>
    action.instances.filter(({ template }) => template.variety === 'quota').map((config) => ({ action, config })),
  )
}

/** Whether the caller asks for it by name: then it judges the grant. */
function isNamed({ quotas }: CheckOptions, { name }: InstanceConfig): boolean {
  if (quotas === undefined || quotas.size === 0) return false
  const full = name.toLowerCase()
  const short = full.split('.')[0]
  for (const wanted of quotas.keys()) if (wanted.toLowerCase() === full || wanted.toLowerCase() === short) return true
  return false
}

function chargeGroups(call: Call, groups: readonly (readonly Wanted[])[], before: Charged): Charged | Promise<Charged> {
  const [group, ...others] = groups
  if (group === undefined || before.refusal !== undefined) return before
  const proceed = (charged: Charged) =>
    chargeGroups(call, others, { limits: [...before.limits, ...charged.limits], refusal: charged.refusal })
  const charged = chargeGroup(call, group)
  return charged instanceof Promise ? charged.then(proceed) : proceed(charged)
}

function chargeGroup({ state, deadline }: Call, group: readonly Wanted[]): Charged | Promise<Charged> {
  const [first] = group
  const running = first && state.handlers.get(first.handler)
  const failed = (caught: unknown): Charged => {
    // A handler that fails says nothing of the limit: the first rule that is closed denies.
    const closed = group.find(({ rule }) => rule.failPolicy === 'closed')
    if (closed === undefined) return { limits: [], refusal: undefined }
    return { limits: [], refusal: refusalOf({ ...closed, error: IntermixError.from(caught) }) }
  }
  const judge = (results: readonly QuotaResult[]): Charged => {
    const limits = results.flatMap((result) => result.limits ?? [])
    // What is charged together is refused together: the one that is used up says so.
    const usedUp = results.findIndex(({ status }) => status.code !== 0)
    const index =
      usedUp >= 0 ? usedUp : results.findIndex((result, at) => isRefusal(result, group[at]?.charge.request.amount))
    const over = group[index]
    const result = results[index]
    if (over === undefined || result === undefined) return { limits, refusal: undefined }
    const { code, message } = result.status
    const text = message === '' ? 'the quota is used up' : message
    const status = { code: code === 0 ? Code.RESOURCE_EXHAUSTED : code, message: `${over.handler}:${text}` }
    return { limits, refusal: { rule: over.rule.name, handler: over.handler, status } }
  }
  try {
    const results = running?.quotaTogether(
      group.map(({ charge }) => charge),
      deadline,
    )
    if (results instanceof Promise) return results.then(judge, failed)
    return judge(results ?? [])
  } catch (caught) {
    return failed(caught)
  }
}

function refusalOf({ rule, handler, error }: Failed): Charged['refusal'] {
  const { code, message } = error.status
  return { rule: rule.name, handler, status: { code, message: `${handler}:${message}` } }
}

function paid(answer: Answer, { limits }: Charged): Answer {
  const responseHeaders = [...answer.responseHeaders, ...limitHeaders(limits)]
  return { ...answer, responseHeaders, validForMs: 0, validUses: 0 }
}

function refused(answer: Answer, { limits, refusal }: Charged): Answer {
  const seconds = retryAfterSeconds(limits)
  const headers = Object.fromEntries(limitHeaders(limits).map(({ name, value }) => [name, value]))
  if (seconds !== undefined) headers['retry-after'] = String(seconds)
  return {
    ...answer,
    status: refusal?.status ?? answer.status,
    validForMs: 0,
    validUses: 0,
    requestHeaders: [],
    responseHeaders: [],
    directResponse: { code: 0, body: '', headers },
    deniedBy: refusal && { rule: refusal.rule, handler: refusal.handler },
  }
}
