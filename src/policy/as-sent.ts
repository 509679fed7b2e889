// References of answers about requests in normal form, as references to what the callers sent.

import type { ReferencedAttribute } from '../kernel/read-log.ts'
import type { CheckOutcome, QuotaGrant } from '../kernel/services.ts'
import type { NormalRequestBag } from '../wire/normal-request-bag.ts'

/** The outcome with references to what the caller sent; the same object where they are so already. */
export function outcomeAsSent(outcome: CheckOutcome, bag: NormalRequestBag): CheckOutcome {
  const { answer } = outcome
  const referenced = asSent(answer.referenced, bag)
  const quotas = grantsAsSent(outcome.quotas, bag)
  if (referenced === answer.referenced && quotas === outcome.quotas) return outcome
  return { answer: { ...answer, referenced }, quotas }
}

/** The grants with references to what the caller sent; the same object where they are so already. */
export function grantsAsSent(
  quotas: ReadonlyMap<string, QuotaGrant>,
  bag: NormalRequestBag,
): ReadonlyMap<string, QuotaGrant> {
  const changed: [string, QuotaGrant][] = []
  for (const [name, grant] of quotas) {
    const referenced = asSent(grant.referenced, bag)
    if (referenced !== grant.referenced) changed.push([name, { ...grant, referenced }])
  }
  return changed.length === 0 ? quotas : new Map([...quotas, ...changed])
}

function asSent(referenced: readonly ReferencedAttribute[], bag: NormalRequestBag): readonly ReferencedAttribute[] {
  const all = referenced.map((read) => bag.sent(read))
  if (all.every((own, at) => own.length === 1 && own[0] === referenced[at])) return referenced
  const found = new Map<string, ReferencedAttribute>()
  for (const own of all.flat()) found.set(JSON.stringify([own.name, own.key, own.whole]), own)
  return [...found.values()]
}
