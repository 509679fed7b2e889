// A config as the oracle has it; `configText` writes it for the product.

import type { Dialect, Expression } from './syntax.ts'

export const DEFAULT_NAMESPACE = 'istio-system'

export interface HandlerModel {
  readonly name: string
  readonly adapter: 'remote' | 'computed'
  /** What tells its backend from others. */
  readonly salt: number
  /** Whether its quotas are limits that count; else what they grant hangs on what they are asked alone. */
  readonly windows: boolean
  readonly staleIfErrorMs: number
  readonly maxDenyValidForMs: number | undefined
}

interface InstanceBase {
  readonly name: string
  readonly dialect: Dialect
}

export type InstanceModel =
  | (InstanceBase & { readonly template: 'listentry'; readonly value: Expression })
  | QuotaModel
  | GeneratorModel

export interface QuotaModel extends InstanceBase {
  readonly template: 'quota'
  readonly dimensions: readonly (readonly [string, Expression])[]
  /** What a rule charges; `undefined` where the instance does not say. */
  readonly amount: number | undefined
  /** Whether the instance names the request itself, by `TRACE`. */
  readonly hasOwnId: boolean
}

export interface GeneratorModel extends InstanceBase {
  readonly template: 'kubernetes'
  /** By field in snake_case. */
  readonly inputs: readonly (readonly [string, Expression])[]
  /** By attribute. */
  readonly bindings: readonly (readonly [string, Expression])[]
}

export interface ActionModel {
  readonly name: string | undefined
  readonly handler: string
  readonly instances: readonly string[]
}

export interface HeaderModel {
  readonly name: string
  readonly operation: 'REPLACE' | 'REMOVE' | 'APPEND'
  readonly values: readonly Expression[]
}

export interface RuleModel {
  readonly name: string
  readonly namespace: string
  readonly api: 'mixer' | 'intermix'
  readonly dialect: Dialect
  readonly match: Expression | undefined
  readonly actions: readonly ActionModel[]
  readonly requestHeaders: readonly HeaderModel[]
  readonly responseHeaders: readonly HeaderModel[]
  readonly failPolicy: 'open' | 'closed'
  /** `undefined` leaves it to the format. */
  readonly matchFailure: 'unknown' | 'noMatch' | undefined
  readonly mode: 'enforce' | 'shadow'
  readonly maxValidForMs: number | undefined
  readonly maxValidUses: number | undefined
}

/** Names of handlers and instances are short; all are in the default namespace. */
export interface ConfigModel {
  readonly handlers: readonly HandlerModel[]
  readonly instances: readonly InstanceModel[]
  readonly rules: readonly RuleModel[]
}

export const fullName = (name: string, kind: 'handler' | 'instance') => `${name}.${kind}.${DEFAULT_NAMESPACE}`

export const ruleName = ({ name, namespace }: RuleModel) => `${name}.rule.${namespace}`

/** The object of that name. @throws Error where there is none. */
export function named<T extends { readonly name: string }>(objects: readonly T[], name: string): T {
  const found = objects.find((object) => object.name === name)
  if (found === undefined) throw new Error(`no object is called ${name}`)
  return found
}
