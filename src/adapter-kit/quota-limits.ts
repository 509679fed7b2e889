// What the quota adapters share: limits by instance name with overrides by dimensions, in Mixer's form.

import { hash } from 'node:crypto'
import { IntermixError } from '../kernel/errors.ts'
import type { ConfigIssue } from './define-adapter.ts'
import type { QuotaInstance } from './templates.ts'
import { valueToText } from './value-text.ts'

/** A limit that holds for the dimensions it names, instead of the quota's own. */
interface OverrideParams {
  readonly dimensions: Readonly<Record<string, string>>
}

/** A quota by the name of its instance: fully qualified, `name.namespace`, or the short name alone. */
export interface QuotaParams<O extends OverrideParams = OverrideParams> {
  readonly name: string
  readonly overrides: readonly O[]
}

/** The quota and the override that an instance is counted under, and the key of its counter. */
export interface ResolvedLimit<Q extends QuotaParams> {
  readonly quota: Q
  /** The first override whose dimensions the instance has; `undefined` where the quota itself holds. */
  readonly override: Q['overrides'][number] | undefined
  /** Distinct for each combination of quota, override and dimension values; 43 letters, digits, `-` and `_`. */
  readonly key: string
}

/** Finds the limit of an instance. Throws `INVALID_CONFIG` where no quota has its name. */
export function resolveLimit<Q extends QuotaParams>(quotas: readonly Q[], instance: QuotaInstance): ResolvedLimit<Q> {
  const quota = quotas.find(({ name }) => isQuotaNameOf(name, instance.name))
  if (quota === undefined) {
    const known = quotas.map(({ name }) => name).join(', ')
    throw new IntermixError('INVALID_CONFIG', `no quota is named ${instance.name}; the handler has ${known || 'none'}`)
  }
  const dimensions = dimensionsOf(instance)
  const values = new Map(dimensions)
  const index = quota.overrides.findIndex((override) =>
    Object.entries(override.dimensions).every(([name, value]) => values.get(name) === value),
  )
  // JSON keeps the parts apart, so that no value can pass for another dimension.
  const text = JSON.stringify([quota.name, index, dimensions])
  return { quota, override: quota.overrides[index], key: hash('sha256', text, 'base64url') }
}

/** The dimensions of an instance as text, by name. */
export function dimensionsOf({ fields }: QuotaInstance): [name: string, value: string][] {
  return Object.entries(fields.dimensions ?? {})
    .map(([name, value]): [string, string] => [name, valueToText(value)])
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

/** What people call an instance: its name without kind and namespace. */
export function shortName(name: string): string {
  const dot = name.indexOf('.')
  return dot < 0 ? name : name.slice(0, dot)
}

/** Finds quotas that can never be reached because an earlier one has the same name. */
export function duplicateQuotas(quotas: readonly QuotaParams[]): readonly ConfigIssue[] {
  return quotas.flatMap(({ name }, index) => {
    const first = quotas.findIndex((other) => other.name === name)
    return first === index
      ? []
      : [{ path: ['quotas', index, 'name'], message: `"${name}" is quota ${first + 1} already` }]
  })
}

/**
 * Whether a quota is named for an instance, whose name is full. Mixer's old configs name the kind
 * (`requestcount.quota.istio-system`), newer ones say `instance`.
 */
export function isQuotaNameOf(name: string, instance: string): boolean {
  if (name === instance) return true
  if (shortName(name) !== shortName(instance)) return false
  return !name.includes('.') || lastPart(name) === (instance.includes('.') ? lastPart(instance) : undefined)
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}
