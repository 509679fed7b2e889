// What rules charge to quotas for a request that is allowed, and what becomes of it: each quota once, in rule order, what one
// handler is owed together, up to the first that refuses.

import { chargeText, quotaOf, type Standing, standingOf } from '../verdicts.ts'
import { counterOf, type WindowOutcomes } from '../windows.ts'
import { type Objection, problemOf, type Told } from './answer.ts'
import {
  type ConfigModel,
  fullName,
  type HandlerModel,
  named,
  type QuotaModel,
  ruleName,
  type RuleModel,
} from './model.ts'
import { dimensionsOf, type Found, isFilled } from './quota.ts'
import { applies } from './rules.ts'
import { CALL_FAILED, PERMISSION_DENIED, type Readable, type Value } from './values.ts'

/** A request as its rules see it, and the quotas of it that its caller judges. */
export interface Reading {
  readonly bag: Readable
  readonly rules: readonly RuleModel[]
  readonly named: readonly (Found | undefined)[]
}

/** What is not known beforehand. */
export interface Circumstances {
  readonly mayFail: boolean
  /** What became of charges of counters, which hangs on who came before. */
  readonly outcomes: WindowOutcomes
}

interface Wanted {
  readonly rule: RuleModel
  readonly handler: HandlerModel
  readonly instance: QuotaModel
  readonly dimensions: ReadonlyMap<string, Value>
}

interface Refusal extends Objection {
  readonly rule: RuleModel
  readonly handler: HandlerModel
}

/** What may have been charged. */
export interface Charged {
  /** As the world notes it. */
  readonly charges: readonly string[]
  readonly limits: readonly (Standing & { readonly name: string })[]
  readonly refusal: Refusal | undefined
}

const NOTHING: Charged = { charges: [], limits: [], refusal: undefined }
const USED_UP = 8

/** Everything that may come of it: one thing, or where calls may fail several. `isPaid`: nobody may give the answer again. */
export function chargesOf(
  config: ConfigModel,
  readings: readonly Reading[],
  circumstances: Circumstances,
): { readonly isPaid: boolean; readonly all: readonly Charged[] } {
  const wanted = wantedOf(config, readings)
  if (!Array.isArray(wanted)) return { isPaid: true, all: [{ ...NOTHING, refusal: wanted as Refusal }] }
  const groups = Map.groupBy(wanted as Wanted[], ({ handler, instance }) => `${handler.name} ${instance.hasOwnId}`)
  let all: readonly Charged[] = [NOTHING]
  for (const group of groups.values()) {
    all = all.flatMap((before) =>
      before.refusal !== undefined
        ? [before]
        : chargeGroup(group, circumstances).map((after) => ({
            charges: [...before.charges, ...after.charges],
            limits: [...before.limits, ...after.limits],
            refusal: after.refusal,
          })),
    )
  }
  return { isPaid: groups.size > 0, all }
}

/** How much the rules charge to counters for a request. */
export function countersOf(
  config: ConfigModel,
  reading: Reading,
): readonly { readonly counter: string; readonly amount: number }[] {
  const wanted = wantedOf(config, [reading])
  if (!Array.isArray(wanted)) return []
  return (wanted as Wanted[])
    .filter(({ handler }) => handler.windows)
    .map(({ handler, instance, dimensions }) => ({
      counter: counterOf(countedBy(handler, instance, dimensions)),
      amount: instance.amount ?? 1,
    }))
}

/** A counter as the world names it. */
export function countedBy(handler: HandlerModel, instance: QuotaModel, dimensions: ReadonlyMap<string, Value>) {
  const names = { handler: fullName(handler.name, 'handler'), instance: fullName(instance.name, 'instance') }
  return { ...names, salt: handler.salt, dimensions }
}

function wantedOf(config: ConfigModel, readings: readonly Reading[]): readonly Wanted[] | Refusal {
  const wanted: Wanted[] = []
  const seen = new Set<string>()
  for (const { bag, rules, named: judged } of readings) {
    const isNamed = (handler: HandlerModel, instance: QuotaModel) =>
      judged.some((found) => found?.handler === handler && found.instance === instance)
    for (const rule of rules) {
      const answer = applies(rule, bag)
      if (answer === false) continue
      for (const { handler: called, instances } of rule.actions) {
        for (const short of instances) {
          const instance = named(config.instances, short)
          const handler = named(config.handlers, called)
          if (instance.template !== 'quota' || seen.has(`${called} ${short}`) || isNamed(handler, instance)) continue
          seen.add(`${called} ${short}`)
          const by = fullName(called, 'handler')
          const refuse = (objection: Objection): Refusal => ({ rule, handler, ...objection })
          const isClosed = rule.failPolicy === 'closed'
          if (answer !== true && isClosed) return refuse(problemOf(`${by}:match`, answer))
          const dimensions = dimensionsOf(instance, bag)
          if (!isFilled(dimensions)) {
            if (isClosed) return refuse(problemOf(`${by}:${fullName(short, 'instance')}`, dimensions))
          } else if ((instance.amount ?? 1) < 0) {
            if (isClosed) return refuse({ code: PERMISSION_DENIED, text: `${by}:unknown` })
          } else wanted.push({ rule, handler, instance, dimensions })
        }
      }
    }
  }
  return wanted
}

function chargeGroup(group: readonly Wanted[], { mayFail, outcomes }: Circumstances): Charged[] {
  const [{ handler } = { handler: undefined }] = group
  if (handler === undefined) return [NOTHING]
  const name = fullName(handler.name, 'handler')
  const results = group.map((each) => resultOf(each, outcomes))
  const usedUp = results.findIndex(({ isRefused }) => isRefused)
  const refusalOf = (rule: RuleModel, objection: Objection): Refusal => ({ rule, handler, ...objection })
  const refusal =
    usedUp < 0 ? undefined : refusalOf((group[usedUp] as Wanted).rule, { code: USED_UP, text: `${name}:used up` })
  const limitsOf = (some: typeof results) => some.flatMap(({ limit }) => (limit === undefined ? [] : [limit]))
  // A handler that can takes all in one call.
  if (handler.adapter === 'computed' && group.length > 1)
    return [
      { charges: [`${name} ${results.map(({ text }) => text).join(' with ')}`], limits: limitsOf(results), refusal },
    ]
  const asked = usedUp < 0 ? results : results.slice(0, usedUp + 1)
  const charges = asked.map(({ text }) => `${name} ${text}`)
  const found: Charged[] = [{ charges, limits: limitsOf(asked), refusal }]
  if (!mayFail || handler.adapter !== 'remote') return found
  const closed = group.find(({ rule }) => rule.failPolicy === 'closed')
  const failed = closed && refusalOf(closed.rule, { code: CALL_FAILED, text: `${name}:unknown` })
  return [...found, ...charges.map((_, index) => ({ ...NOTHING, charges: charges.slice(0, index), refusal: failed }))]
}

function resultOf({ handler, instance, dimensions }: Wanted, outcomes: WindowOutcomes) {
  const { salt } = handler
  const { name, amount = 1 } = instance
  const text = chargeText(fullName(name, 'instance'), amount, dimensions)
  if (handler.windows) {
    const outcome = outcomes.get(`${fullName(handler.name, 'handler')} ${text}`)
    return { isRefused: (outcome?.code ?? 0) !== 0, limit: outcome && { name, ...outcome.standing }, text }
  }
  const isRefused = quotaOf(salt, dimensions, { amount, bestEffort: false }).code !== 0
  const standing = standingOf(salt, dimensions, isRefused)
  const limit = standing && { name, ...standing }
  return { isRefused, limit, text }
}

/** The fields that tell callers of limits, as pairs. */
export function limitFields({ limits, refusal }: Charged): readonly (readonly [string, string])[] {
  const shown = limits.slice(0, 8)
  const windowOf = ({ windowMs }: Standing) => (windowMs === undefined ? '' : `;w=${windowMs / 1_000}`)
  const waits = limits.map(({ retryAfterMs }) => retryAfterMs)
  const wait = Math.max(0, ...waits)
  const fields: [string, string][] = []
  if (shown.length > 0) {
    fields.push([
      'ratelimit-policy',
      shown.map((each) => `"${each.name}";q=${each.amount}${windowOf(each)}`).join(', '),
    ])
    const left = ({ name, left: rest, resetMs }: (typeof shown)[0]) =>
      `"${name}";r=${rest < 0 ? 0 : rest};t=${Math.ceil(resetMs / 1_000)}`
    fields.push(['ratelimit', shown.map(left).join(', ')])
  }
  if (refusal !== undefined && wait > 0 && wait !== Number.POSITIVE_INFINITY)
    fields.push(['retry-after', String(Math.ceil(wait / 1_000))])
  return fields
}

/** What is told of a request that a quota refuses. */
export function refusedTold(charged: Charged & { readonly refusal: Refusal }): Told {
  const { code, text, rule, handler } = charged.refusal
  return {
    code,
    objections: [text],
    deniedBy: `${ruleName(rule)} ${fullName(handler.name, 'handler')}`,
    requestHeaders: [],
    responseHeaders: [],
    directResponse: `0  ${JSON.stringify(limitFields(charged))}`,
  }
}
