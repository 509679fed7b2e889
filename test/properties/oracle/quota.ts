// What a quota that a caller names is granted: by the first rule, in rule order, that applies and has it.

import { chargeText, quotaOf } from '../verdicts.ts'
import type { WindowOutcomes } from '../windows.ts'
import { evaluate } from './interpreter.ts'
import { type ConfigModel, fullName, type HandlerModel, named, type QuotaModel, type RuleModel } from './model.ts'
import { applies } from './rules.ts'
import {
  CALL_FAILED,
  INVALID_ARGUMENT,
  isValue,
  type Lack,
  PERMISSION_DENIED,
  type Readable,
  Unknown,
  type Value,
} from './values.ts'

export interface Demand {
  readonly amount: number
  readonly bestEffort: boolean
}

/** What may be granted: one thing, or where the backend may fail one of two. */
export type Grants = readonly string[]

const UNLIMITED_MS = 60_000

/** A grant in a text. */
export function grantText(code: number, granted: number, validForMs: number): string {
  return `${code} ${granted} ${validForMs}`
}

/** A quota as a rule has it, and the request's dimensions of it, or why there are none. */
export interface Found {
  readonly rule: RuleModel
  readonly handler: HandlerModel
  readonly instance: QuotaModel
  /** A lack where it is unknown whether the rule applies, and its fail policy is closed. */
  readonly dimensions: ReadonlyMap<string, Value> | Lack
}

/** The quota that is granted to whoever names it: in any case, by the instance's short name or its full one. */
export function findNamed(
  config: ConfigModel,
  rules: readonly RuleModel[],
  bag: Readable,
  name: string,
): Found | undefined {
  const wanted = name.toLowerCase()
  for (const rule of rules) {
    for (const { handler: called, instances } of rule.actions) {
      for (const short of instances) {
        const instance = named(config.instances, short)
        if (instance.template !== 'quota' || ![short, fullName(short, 'instance')].includes(wanted)) continue
        const answer = applies(rule, bag)
        if (answer === false) continue
        const handler = named(config.handlers, called)
        const isUnknown = answer !== true && rule.failPolicy === 'closed'
        return { rule, handler, instance, dimensions: isUnknown ? answer : dimensionsOf(instance, bag) }
      }
    }
  }
  return undefined
}

export function dimensionsOf(instance: QuotaModel, bag: Readable): ReadonlyMap<string, Value> | Lack {
  const dimensions = new Map<string, Value>()
  for (const [name, expression] of instance.dimensions) {
    const value = evaluate(expression, instance.dialect, bag)
    if (!isValue(value)) return value
    dimensions.set(name, value)
  }
  return dimensions
}

export function isFilled(dimensions: Found['dimensions']): dimensions is ReadonlyMap<string, Value> {
  return dimensions instanceof Map
}

/** Nobody limits a quota that no rule has. */
export function grantsOf(
  config: ConfigModel,
  rules: readonly RuleModel[],
  bag: Readable,
  asked: {
    readonly name: string
    readonly demand: Demand
    readonly mayFail: boolean
    readonly outcomes: WindowOutcomes
  },
): Grants {
  const { name, demand, mayFail, outcomes } = asked
  const isDefined = config.instances.some(
    (each) => each.template === 'quota' && [each.name, fullName(each.name, 'instance')].includes(name.toLowerCase()),
  )
  if (!isDefined) return [grantText(INVALID_ARGUMENT, 0, 0)]
  const found = findNamed(config, rules, bag, name)
  if (found === undefined) return [grantText(0, demand.amount, UNLIMITED_MS)]
  const { rule, handler, instance, dimensions } = found
  const resolved = (code: number) =>
    rule.failPolicy === 'open' ? grantText(0, demand.amount, 0) : grantText(code, 0, 0)
  if (!isFilled(dimensions)) return [resolved(dimensions instanceof Unknown ? dimensions.code : PERMISSION_DENIED)]
  const text = `${fullName(handler.name, 'handler')} ${chargeText(fullName(instance.name, 'instance'), demand.amount, dimensions)}`
  const counted = outcomes.get(text)
  // A counter that was not charged has not been asked.
  if (handler.windows && counted === undefined) return mayFail ? [resolved(CALL_FAILED)] : []
  const { code, granted, validForMs } = counted ?? quotaOf(handler.salt, dimensions, demand)
  const given = grantText(code, granted, validForMs)
  return mayFail && handler.adapter === 'remote' ? [given, resolved(CALL_FAILED)] : [given]
}
