// Which configured limit a bucket meets. The names and values of a bucket have no order, and levels of a domain do: they are
// taken in the order in which they lead down to a limit.

import type { CounterName } from '../../adapter-kit/limits.ts'
import type { BucketId } from '../../kernel/quota-buckets.ts'
import type { DescriptorEntry } from '../../kernel/rate-limit.ts'
import { counterKey, counterName, limitName } from '../descriptors/counter-key.ts'
import type { ConfiguredLimit, DescriptorLevels, Domain, DomainCharging } from '../descriptors/domain.ts'

/** What the requests of a bucket are limited by. */
export interface BucketLimit {
  readonly domain: string
  readonly limit: ConfiguredLimit
  /** The counter that descriptors with the same names and values have, too. */
  readonly counter: string
  /** What people call that counter. */
  readonly counterName: () => CounterName
  /** What metrics call the limit. */
  readonly name: string
  readonly charging: DomainCharging
}

/** `undefined` where nothing limits the bucket: all of its pairs have to be found, as all entries of a descriptor. */
export function limitOfBucket(domain: Domain, bucket: BucketId): BucketLimit | undefined {
  const found = wayDown(domain.levels, bucket)
  if (found === undefined || found.limit.isUnlimited) return undefined
  const { limit, entries } = found
  const counter = counterKey(domain.name, entries, limit.unit, limit)
  return {
    domain: domain.name,
    limit,
    counter,
    counterName: () => counterName(domain.name, entries, limit),
    name: limitName(limit, entries),
    charging: domain.charging,
  }
}

interface Way {
  readonly limit: ConfiguredLimit
  readonly entries: readonly DescriptorEntry[]
}

/** The first way in the order of the pairs. Each step is a level of the config, so there are not more steps than levels. */
function wayDown(levels: DescriptorLevels, pairs: BucketId): Way | undefined {
  if (levels.isEmpty) return undefined
  for (const [at, entry] of pairs.entries()) {
    const level = levels.find(entry)
    if (level === undefined) continue
    if (pairs.length === 1) return level.limit === undefined ? undefined : { limit: level.limit, entries: [entry] }
    const below = wayDown(level.below, pairs.toSpliced(at, 1))
    if (below !== undefined) return { limit: below.limit, entries: [entry, ...below.entries] }
  }
  return undefined
}
