// What the descriptors of a request are charged: one charge for each counter, whether it is met once or several times.

import type { LimitCharge } from '../../adapter-kit/limits.ts'
import { UNIT_SECONDS } from '../../kernel/rate-limit.ts'
import type { Asked } from './asked.ts'
import type { DomainCharging } from './domain.ts'

/** Where a descriptor finds what became of its charge. */
export interface Charged {
  readonly isStrict: boolean
  /** Among the charges of that kind. */
  readonly place: number
  charge: LimitCharge
  /** What descriptors behind this one are charged on the same counter. */
  later: number
}

export interface Charges {
  /** Charged together or not at all. */
  readonly strict: LimitCharge[]
  /** Counted each by itself, refused or not. */
  readonly single: LimitCharge[]
  /** For each descriptor; `undefined` where there is nothing to charge. */
  readonly charged: readonly (Charged | undefined)[]
}

export function chargesOf(asked: readonly Asked[], charging: DomainCharging): Charges {
  const strict: LimitCharge[] = []
  const single: LimitCharge[] = []
  const places = asked.length > 1 ? new Map<string, Charged[]>() : undefined
  const charged = asked.map((each) => {
    if (each.limit === undefined) return undefined
    const isStrict = charging.mode === 'all' && !each.isOptional
    const charge = chargeOf(each, each.limit, charging)
    const list = isStrict ? strict : single
    const name = isStrict ? each.counter : `#${each.counter}`
    const before = places?.get(name)
    const first = before?.[0]
    const of: Charged = { isStrict, place: first?.place ?? list.length, charge, later: 0 }
    if (before === undefined || first === undefined) {
      places?.set(name, [of])
      list.push(charge)
      return of
    }
    for (const earlier of before) earlier.later += each.hits
    before.push(of)
    const joined = joinedOf(first.charge, charge)
    list[of.place] = joined
    for (const all of before) all.charge = joined
    return of
  })
  return { strict, single, charged }
}

/** Of two limits on one counter the lower one decides whether all is charged. */
function joinedOf(one: LimitCharge, other: LimitCharge): LimitCharge {
  return { ...(other.rule.amount < one.rule.amount ? other : one), amount: one.amount + other.amount }
}

function chargeOf(
  { counter, hits, name }: Asked,
  limit: NonNullable<Asked['limit']>,
  { accuracy, away }: DomainCharging,
): LimitCharge {
  return { key: counter, rule: limitRuleOf(limit), amount: hits, accuracy, away, name }
}

/** A window of its unit. */
export function limitRuleOf({ requestsPerUnit: amount, unit }: NonNullable<Asked['limit']>): LimitCharge['rule'] {
  return { algorithm: 'fixedWindow', amount, windowMs: UNIT_SECONDS[unit] * 1_000, from: 'epoch' }
}
