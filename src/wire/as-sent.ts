// References of answers about requests in normal form, as references to what the callers sent.

import type { ReferencedAttribute } from '../kernel/read-log.ts'
import type { CheckOutcome, QuotaGrant } from '../kernel/services.ts'
import type { NormalRequestBag } from './normal-request-bag.ts'

/** The outcome with references to what the caller sent; the same object where they are so already. */
export function outcomeAsSent(outcome: CheckOutcome, bag: NormalRequestBag): CheckOutcome {
  const { answer } = outcome
  const referenced = asSent(answer.referenced, bag)
  const quotas = grantsAsSent(outcome.quotas, bag)
  if (referenced === answer.referenced && quotas === outcome.quotas) return outcome
  return { ...outcome, answer: { ...answer, referenced }, quotas }
}

/** The grants with references to what the caller sent; the same object where they are so already. */
export function grantsAsSent(
  quotas: ReadonlyMap<string, QuotaGrant>,
  bag: NormalRequestBag,
): ReadonlyMap<string, QuotaGrant> {
  if (quotas.size === 0) return quotas
  const changed: [string, QuotaGrant][] = []
  for (const [name, grant] of quotas) {
    const referenced = asSent(grant.referenced, bag)
    if (referenced !== grant.referenced) changed.push([name, { ...grant, referenced }])
  }
  return changed.length === 0 ? quotas : new Map([...quotas, ...changed])
}

function asSent(referenced: readonly ReferencedAttribute[], bag: NormalRequestBag): readonly ReferencedAttribute[] {
  if (referenced.every((read) => bag.isSent(read))) return referenced
  const all = referenced.map((read) => bag.sent(read))
  const found = new Map<string, ReferencedAttribute>()
  for (const own of all.flat()) found.set(JSON.stringify([own.name, own.key, own.whole]), own)
  return [...found.values()]
}
