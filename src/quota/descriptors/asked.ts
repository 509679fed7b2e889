// What the descriptors of one request come to: a limit each, its counter, and how many hits it gets.

import type { CounterName } from '../../adapter-kit/limits.ts'
import { IntermixError } from '../../kernel/errors.ts'
import {
  type DescriptorEntry,
  hitsOf,
  type RateLimit,
  type RateLimitDemand,
  type RateLimitDescriptor,
} from '../../kernel/rate-limit.ts'
import { counterKey, counterName, limitName } from './counter-key.ts'
import { type ConfiguredLimit, type Domain, limitOf } from './domain.ts'

export interface Asked {
  /** `undefined` where there is nothing to charge. */
  readonly limit: RateLimit | undefined
  /** Key of the counter; empty without a limit. */
  readonly counter: string
  readonly hits: number
  readonly isUnlimited: boolean
  readonly isShadow: boolean
  readonly isQuota: boolean
  /** Whether the request may pass although this limit is exceeded. */
  readonly isOptional: boolean
  /** What metrics call the limit. */
  readonly metric: () => string
  /** What operators call the counter. */
  readonly name: () => CounterName
}

/** @throws IntermixError INVALID_REQUEST for a descriptor without entries, or a limit without a unit */
export function askedOf(domain: Domain, demand: RateLimitDemand): readonly Asked[] {
  const { descriptors } = demand
  const configured = descriptors.map((descriptor, at) => {
    if (descriptor.entries.length === 0) throw new IntermixError('INVALID_REQUEST', `descriptor ${at} has no entries`)
    return descriptor.limit === undefined ? limitOf(domain, descriptor.entries) : undefined
  })
  const replaced = new Set(configured.flatMap((limit) => limit?.replaces ?? []))
  return descriptors.map((descriptor, at) => {
    const hits = hitsOf(descriptor, demand)
    if (descriptor.limit !== undefined) return ownLimit(domain, descriptor, hits, at)
    const limit = configured[at]
    if (limit === undefined) return { ...NOTHING, hits }
    if (limit.isUnlimited) return { ...NOTHING, hits, isUnlimited: true }
    if (limit.name !== '' && replaced.has(limit.name)) return { ...NOTHING, hits }
    return configuredLimit(domain, limit, descriptor.entries, hits)
  })
}

const NOTHING: Asked = {
  limit: undefined,
  counter: '',
  hits: 0,
  isUnlimited: false,
  isShadow: false,
  isQuota: false,
  isOptional: false,
  metric: () => '',
  name: () => ({ limit: '', values: [] }),
}

function configuredLimit(
  { name: domain }: Domain,
  limit: ConfiguredLimit,
  entries: readonly DescriptorEntry[],
  hits: number,
): Asked {
  const { isShadow, isQuota, unit } = limit
  const counter = counterKey(domain, entries, unit, limit)
  const isOptional = isShadow || isQuota
  const metric = () => limitName(limit, entries)
  const name = () => counterName(domain, entries, limit)
  return { limit, counter, hits, isUnlimited: false, isShadow, isQuota, isOptional, metric, name }
}

/** A limit that came with the descriptor. What is in it is chosen by callers, so metrics name its keys only. */
function ownLimit({ name: domain }: Domain, { entries, limit }: RateLimitDescriptor, hits: number, at: number): Asked {
  const unit = limit?.unit
  if (limit === undefined || unit === undefined)
    throw new IntermixError('INVALID_REQUEST', `the limit of descriptor ${at} has no unit that is known here`)
  const counter = counterKey(domain, entries, unit)
  const metric = () => entries.map(({ key }) => key).join('.')
  const name = () => counterName(domain, entries)
  return {
    ...NOTHING,
    limit: { requestsPerUnit: limit.requestsPerUnit, unit, name: '' },
    counter,
    hits,
    metric,
    name,
  }
}
