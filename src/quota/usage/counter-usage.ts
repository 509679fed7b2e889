// What the limits of one handler see in this process: which counters are asked for most, refuse most, and are nearest to their
// limit. What it costs does not grow with the number of counters.

import type { CounterName, LimitCharge, LimitOutcome, LimitRule } from '../../adapter-kit/limits.ts'
import { mostOf } from '../algorithms/index.ts'
import { HeavyHitters } from './heavy-hitters.ts'
import { Nearest } from './nearest.ts'

/** Kept by each of the three orders. */
const KEPT = 128
/** Told by each of them. */
export const MOST_TOLD = 50
/** What was asked counts less and less: after so long, a third of it. */
const FADE_MS = 60_000
const FADE_EVERY_MS = 5_000
const MAX_VALUE = 200

/** A counter, as a process sees it. Times are in ms. */
export interface SeenCounter {
  readonly key: string
  readonly group?: string
  readonly rule: LimitRule
  readonly name: CounterName
  /** Amounts in about the last minute; 0 of a counter that is asked for seldom. */
  readonly asked: number
  readonly refused: number
  /** As it was heard last, `ageMs` ago. */
  readonly left: number
  readonly resetMs: number
  readonly ageMs: number
  /** Held by this process ahead of need. */
  readonly held: number
}

interface Seen {
  readonly charge: LimitCharge
  readonly name: CounterName
  rule: LimitRule
  left: number
  resetMs: number
  /** On the monotonic clock. */
  heardAt: number
}

export class CounterUsage {
  readonly #asked = new HeavyHitters<Seen>(KEPT)
  readonly #refused = new HeavyHitters<Seen>(KEPT)
  readonly #nearest = new Nearest<Seen>(KEPT)
  #fadedAt = Number.NEGATIVE_INFINITY

  /** Notes what became of charges. @param now monotonic ms */
  note(charges: readonly LimitCharge[], outcomes: readonly LimitOutcome[], now: number): void {
    if (now - this.#fadedAt >= FADE_EVERY_MS) this.#fade(now)
    for (let at = 0; at < charges.length; at++) {
      const charge = charges[at]
      const outcome = outcomes[at]
      if (charge === undefined || outcome === undefined || charge.amount <= 0) continue
      const { key, amount, rule } = charge
      const seen = this.#asked.add(key, amount, () => seenAt(charge))
      seen.rule = rule
      seen.left = outcome.left
      seen.resetMs = outcome.resetMs
      seen.heardAt = now
      if (outcome.isExceeded) this.#refused.add(key, amount - outcome.granted, () => seen)
      this.#nearest.note(key, usedShare(rule, outcome.left), now + outcome.resetMs, now, () => seen)
    }
  }

  /** The first of each order, each counter once. @param held what this process holds of a counter */
  seen(now: number, held: (key: string) => number): SeenCounter[] {
    this.#fade(now)
    const asked = new Map(this.#asked.top(2 * KEPT).map(({ key, weight, value }) => [key, { weight, value }]))
    const refused = new Map(this.#refused.top(2 * KEPT).map(({ key, weight }) => [key, weight]))
    const told = new Map<string, Seen>()
    const orders = [this.#asked.top(MOST_TOLD), this.#refused.top(MOST_TOLD), this.#nearest.top(MOST_TOLD, now)]
    for (const { key, value } of orders.flat()) told.set(key, asked.get(key)?.value ?? value)
    return [...told].map(([key, { charge, name, rule, left, resetMs, heardAt }]) => ({
      key,
      ...(charge.group === undefined ? {} : { group: charge.group }),
      rule,
      name,
      asked: Math.round(asked.get(key)?.weight ?? 0),
      refused: Math.round(refused.get(key) ?? 0),
      left,
      resetMs,
      ageMs: Math.round(now - heardAt),
      held: held(key),
    }))
  }

  #fade(now: number): void {
    const share = Math.exp((this.#fadedAt - now) / FADE_MS)
    this.#fadedAt = now
    this.#asked.fade(share)
    this.#refused.fade(share)
  }
}

/** The share of a limit that is used: above 1 where more was counted than is allowed. */
export function usedShare(rule: LimitRule, left: number): number {
  const most = mostOf(rule)
  return most === 0 ? 1 : 1 - left / most
}

function seenAt(charge: LimitCharge): Seen {
  const { key, rule, name } = charge
  const { limit, values } = name?.() ?? { limit: key, values: [] }
  const short = (text: string) => (text.length <= MAX_VALUE ? text : `${text.slice(0, MAX_VALUE)}…`)
  return {
    charge: { key, rule, amount: 0, ...(charge.group === undefined ? {} : { group: charge.group }) },
    name: { limit: short(limit), values: values.slice(0, 20).map(([of, value]) => [short(of), short(value)] as const) },
    rule,
    left: 0,
    resetMs: 0,
    heardAt: 0,
  }
}
