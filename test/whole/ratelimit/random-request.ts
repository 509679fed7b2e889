// Random demands of a domain: mostly what its config has a limit for, sometimes a little beside it.

import type { MessageInitShape } from '@bufbuild/protobuf'
import type { RateLimitRequestSchema } from '../../../src/wire/generated/envoy/service/ratelimit/v3/rls_pb.ts'
import { type Picker, times } from '../../properties/random.ts'
import { KEYS, type RandomDomain, type RandomLevel, VALUES } from './random-domain.ts'

export type Demand = MessageInitShape<typeof RateLimitRequestSchema>
type Descriptor = NonNullable<Demand['descriptors']>[number]
interface Entry {
  readonly key: string
  readonly value: string
}

/** The number of the last unit in the protocol. */
const LAST_UNIT = 7
const FIRST_OF_WINDOWS = 2

/** @param withLimits whether descriptors may bring limits of their own; those of the domain must then be by the second */
export function randomDemand({ domain, descriptors }: RandomDomain, withLimits: boolean, picker: Picker): Demand {
  const made = times(1 + picker.int(4), () => randomDescriptor(descriptors, withLimits, picker))
  const again = picker.chance(0.15) ? [made[0] as Descriptor] : []
  return {
    domain: picker.chance(0.02) ? 'unknown' : domain,
    descriptors: [...made, ...again],
    hitsAddend: picker.chance(0.7) ? 0 : picker.chance(0.05) ? 4_294_967_295 : picker.int(5),
  }
}

function randomDescriptor(levels: readonly RandomLevel[], withLimits: boolean, picker: Picker): Descriptor {
  const entries: Entry[] = []
  let beside = levels
  do {
    const level = beside[picker.int(beside.length)]
    entries.push(entryOf(level, picker))
    beside = level?.descriptors ?? []
  } while (picker.chance(beside.length > 0 ? 0.85 : 0.05))
  const hits = picker.chance(0.2) ? { hitsAddend: BigInt(picker.int(4)) } : {}
  if (!withLimits || picker.chance(0.4)) return { entries, ...hits }
  return { entries, ...hits, limit: { requestsPerUnit: picker.int(8), unit: unitOf(entries) } }
}

function entryOf(level: RandomLevel | undefined, picker: Picker): Entry {
  if (level === undefined || picker.chance(0.1)) return { key: picker.of(KEYS), value: picker.of(VALUES) }
  const { key, value } = level
  const name = key === 'k*' ? picker.of(['k', 'k-1', 'k*']) : key
  if (value === undefined || picker.chance(0.1)) return { key: name, value: picker.of(VALUES) }
  const fillings = ['', '1', 'x', '12', 'x1x2'] as const
  return { key: name, value: picker.chance(0.1) ? value : value.replaceAll('*', () => picker.of(fillings)) }
}

/** Always the same for the same entries, and never the second: there, windows of two lengths that begin together are one counter. */
function unitOf(entries: readonly Entry[]): number {
  let sum = 0
  for (const { key, value } of entries) for (const letter of `${key}=${value};`) sum += letter.codePointAt(0) ?? 0
  return FIRST_OF_WINDOWS + (sum % (LAST_UNIT - FIRST_OF_WINDOWS + 1))
}
