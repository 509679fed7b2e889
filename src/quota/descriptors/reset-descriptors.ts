// Forgets what was charged to limits of a domain.

import type { Limits } from '../../adapter-kit/limits.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { DescriptorEntry } from '../../kernel/rate-limit.ts'
import { askedOf } from './asked.ts'
import { domainKeys } from './counter-key.ts'
import { limitRuleOf } from './charges.ts'
import type { Domain } from './domain.ts'

/**
 * Of one descriptor, or of all where there is none.
 * @returns how many counters something was charged to
 * @throws IntermixError NOT_FOUND, and as `askedOf` does
 */
export async function resetDescriptors(
  domain: Domain | undefined,
  limits: Limits,
  entries: readonly DescriptorEntry[] | undefined,
): Promise<number> {
  if (domain === undefined) throw new IntermixError('NOT_FOUND', 'no such domain is configured')
  if (entries === undefined) return (await limits.reset?.({ startingWith: domainKeys(domain.name) })) ?? 0
  const asked = askedOf(domain, { domain: domain.name, descriptors: [{ entries }], hitsAddend: 0 })
  const counters = asked.flatMap(({ limit, counter }) =>
    limit === undefined ? [] : [{ key: counter, rule: limitRuleOf(limit) }],
  )
  return (await limits.reset?.({ counters })) ?? 0
}
