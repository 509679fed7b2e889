// What a quota that a caller names is granted: by the first rule, in rule order, that applies and has it.

import { quotaOf } from '../verdicts.ts'
import { evaluate } from './interpreter.ts'
import { type ConfigModel, fullName, named, type RuleModel } from './model.ts'
import { applies } from './rules.ts'
import {
  CALL_FAILED,
  INVALID_ARGUMENT,
  isValue,
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

/** Callers name a quota by its instance's short name or its full one, in any case; nobody limits one that no rule has. */
export function grantsOf(
  config: ConfigModel,
  rules: readonly RuleModel[],
  bag: Readable,
  asked: { readonly name: string; readonly demand: Demand; readonly mayFail: boolean },
): Grants {
  const { demand, mayFail } = asked
  const wanted = asked.name.toLowerCase()
  const isDefined = config.instances.some(
    ({ template, name }) => template === 'quota' && [name, fullName(name, 'instance')].includes(wanted),
  )
  if (!isDefined) return [grantText(INVALID_ARGUMENT, 0, 0)]
  for (const rule of rules) {
    const resolved = (code: number) =>
      rule.failPolicy === 'open' ? grantText(0, demand.amount, 0) : grantText(code, 0, 0)
    for (const { handler, instances } of rule.actions) {
      for (const short of instances) {
        const instance = named(config.instances, short)
        if (instance.template !== 'quota' || ![short, fullName(short, 'instance')].includes(wanted)) continue
        const answer = applies(rule, bag)
        if (answer === false) continue
        if (answer !== true && rule.failPolicy === 'closed')
          return [resolved(answer instanceof Unknown ? answer.code : PERMISSION_DENIED)]
        const dimensions = new Map<string, Value>()
        for (const [name, expression] of instance.dimensions) {
          const value = evaluate(expression, instance.dialect, bag)
          if (!isValue(value)) return [resolved(value instanceof Unknown ? value.code : PERMISSION_DENIED)]
          dimensions.set(name, value)
        }
        const { salt, adapter } = named(config.handlers, handler)
        const { code, granted, validForMs } = quotaOf(salt, dimensions, demand)
        const given = grantText(code, granted, validForMs)
        return mayFail && adapter === 'remote' ? [given, resolved(CALL_FAILED)] : [given]
      }
    }
  }
  return [grantText(0, demand.amount, UNLIMITED_MS)]
}
