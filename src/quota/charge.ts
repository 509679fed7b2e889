// How charges that come together are settled over counters.

import type { ChargeMode, LimitCharge, LimitOutcome } from '../adapter-kit/limits.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Counter } from './counter.ts'

const MAX_KEY = 256

/** A charge, and the window to which it belongs: of what is given back, or charged afterwards. */
export interface WindowCharge extends LimitCharge {
  readonly window?: number
  /** So much more is charged where the amount is granted, as far as it is there: `granted` tells. */
  readonly ahead?: number
}

/** Shares the outcomes of merged charges out to those that were merged. */
type Share = <O extends LimitOutcome | undefined>(outcomes: readonly O[]) => O[]

/** What became of a charge, and in which window. */
export interface WindowOutcome extends LimitOutcome {
  readonly window: number
}

/** @throws IntermixError INVALID_REQUEST for charges that mean nothing. */
export function assertCharges(charges: readonly LimitCharge[], id: string): void {
  for (const { key, rule, amount } of charges) {
    if (key.length > MAX_KEY) throw invalid(`the key of a counter has more than ${MAX_KEY} characters`)
    if (!Number.isSafeInteger(amount)) throw invalid(`the amount ${amount} is not a whole number`)
    if (rule.algorithm !== 'concurrency') continue
    if (Math.abs(amount) > 1) throw invalid('one place in flight is taken or given back at a time')
    if (amount !== 0 && id === '') throw invalid('what is in flight needs an id')
  }
}

/** Settles charges on counters of their own, one for each. */
export function settle(
  charges: readonly WindowCharge[],
  counters: readonly Counter[],
  { mode, id, now }: { readonly mode: ChargeMode; readonly id: string; readonly now: number },
): WindowOutcome[] {
  const before = charges.map(({ rule, amount }, index) => {
    const counter = counters[index] as Counter
    const { free } = counter.count(rule, now)
    const isThere = counter.holds(rule, id, now)
    return { counter, free, isThere, fits: amount <= 0 || isThere || amount <= free }
  })
  const all = before.every(({ fits }) => fits)
  let least = Number.POSITIVE_INFINITY
  for (const [index, { free, isThere }] of before.entries())
    if (!isThere && (charges[index]?.amount ?? 0) > 0) least = Math.min(least, Math.max(0, free))
  return charges.map(({ rule, amount, window = 0, ahead = 0 }, index) => {
    const { counter, free, fits } = before[index] as (typeof before)[number]
    const wanted = mode === 'part' ? Math.min(amount, least) : mode === 'all' ? (all ? amount : 0) : fits ? amount : 0
    const retryAfterMs = fits ? 0 : counter.count(rule, now).retryMs(amount)
    const isGranted = fits && wanted === amount && amount >= 0
    const granted = isGranted ? amount + Math.max(0, Math.min(ahead, free - amount)) : wanted
    const counted = mode === 'count' && !fits ? amount : granted
    if (counted !== 0) counter.charge(rule, { amount: counted, id, window }, now)
    const after = counter.count(rule, now)
    return {
      granted,
      isExceeded: !fits,
      left: after.free,
      resetMs: Math.ceil(after.resetMs),
      retryAfterMs: Math.ceil(retryAfterMs),
      window: Math.floor(after.window),
    }
  })
}

/**
 * Charges of one counter become one, whose outcome is shared out in order; so a counter is never read twice for one
 * request.
 */
export function mergeCharges<C extends WindowCharge>(
  charges: readonly C[],
): { readonly merged: readonly C[]; share: Share } {
  if (charges.length <= 1) return { merged: charges, share: asTheyCame }
  const places = new Map<string, number>()
  const merged: C[] = []
  for (const charge of charges) {
    const place = places.get(charge.key)
    const known = place === undefined ? undefined : merged[place]
    if (place === undefined || known === undefined) {
      places.set(charge.key, merged.length)
      merged.push(charge)
    } else if (charge.rule.algorithm !== 'concurrency') {
      merged[place] = { ...known, amount: Math.min(Number.MAX_SAFE_INTEGER, known.amount + charge.amount) }
    }
  }
  if (merged.length === charges.length) return { merged, share: asTheyCame }
  return {
    merged,
    share(outcomes) {
      const left = outcomes.map((outcome) => outcome?.granted ?? 0)
      return charges.map(({ key, amount, rule }) => {
        const place = places.get(key) ?? 0
        const outcome = outcomes[place] as (typeof outcomes)[number]
        if (outcome === undefined) return outcome
        const granted = rule.algorithm === 'concurrency' ? outcome.granted : Math.min(amount, left[place] ?? 0)
        left[place] = (left[place] ?? 0) - granted
        return { ...outcome, granted }
      })
    },
  }
}

const asTheyCame: Share = (outcomes) => outcomes.slice()

function invalid(message: string): IntermixError {
  return new IntermixError('INVALID_REQUEST', message)
}
