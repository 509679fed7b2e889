// What the quota adapters share: limits by instance name with overrides by dimensions, in Mixer's form.

import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { IntermixError } from '../kernel/errors.ts'
import type { ConfigIssue } from './define-adapter.ts'
import type { QuotaInstance } from './templates.ts'
import type { AttributeValue } from '../kernel/value.ts'
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
  /** Distinct for each combination of instance, override and dimension values; 43 letters, digits, `-` and `_`. */
  readonly key: string
  /** Of the instance, for people. */
  readonly shortName: string
}

/** What is known of instances; callers choose their dimensions. */
const MAX_KNOWN = 10_000
const LONGEST_KNOWN = 512

/** Finds the limits of instances among some quotas; what it has found it knows for a while. */
export class LimitResolver<Q extends QuotaParams> {
  readonly #quotas: readonly Q[]
  readonly #known = new LRUCache<string, ResolvedLimit<Q>>({ max: MAX_KNOWN })

  constructor(quotas: readonly Q[]) {
    this.#quotas = quotas
  }

  /** Throws `INVALID_CONFIG` where no quota has the name of the instance. */
  resolve(instance: QuotaInstance): ResolvedLimit<Q> {
    const {
      name,
      fields: { dimensions = {} },
    } = instance
    // Lengths keep the parts apart, so that no value can pass for another dimension.
    let text = name
    for (const dimension in dimensions) {
      const value = valueToText(dimensions[dimension] as AttributeValue)
      text += `\n${dimension.length} ${value.length} ${dimension}${value}`
    }
    const known = this.#known.get(text)
    if (known !== undefined) return known
    const limit = this.#find(instance)
    if (text.length <= LONGEST_KNOWN) this.#known.set(text, limit)
    return limit
  }

  #find(instance: QuotaInstance): ResolvedLimit<Q> {
    const quota = this.#quotas.find(({ name }) => isQuotaNameOf(name, instance.name))
    if (quota === undefined) {
      const known = this.#quotas.map(({ name }) => name).join(', ')
      throw new IntermixError(
        'INVALID_CONFIG',
        `no quota is named ${instance.name}; the handler has ${known || 'none'}`,
      )
    }
    const dimensions = dimensionsOf(instance)
    const values = new Map(dimensions)
    const index = quota.overrides.findIndex((override) =>
      Object.entries(override.dimensions).every(([name, value]) => values.get(name) === value),
    )
    // JSON keeps the parts apart. Instances of two namespaces do not share a counter because a quota has the short name of both.
    const text = JSON.stringify([instance.name, index, dimensions])
    return {
      quota,
      override: quota.overrides[index],
      key: hash('sha256', text, 'base64url'),
      shortName: shortName(instance.name),
    }
  }
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
