// What a node has granted while Redis was away, as far as it still counts: that is charged to Redis afterwards.

import type { LimitRule } from '../adapter-kit/limits.ts'
import { periodAt } from './algorithms/calendar.ts'
import { countsForMs } from './algorithms/index.ts'
import type { WindowCharge } from './charge.ts'
import { Counter } from './counter.ts'

/** Of one counter: of further ones nobody will know. */
const MOST_PLACES = 10_000

/** What is to be charged, or given back. */
export interface Debt {
  readonly charge: WindowCharge
  /** The name of a place in flight; else empty. */
  readonly place: string
  /** On the wall clock: then nothing of it counts any more. */
  readonly until: number
}

/** What is added to what a node owes; negative where it was charged after all, or is given back. */
interface Change {
  readonly amount: number
  readonly window: number
  readonly place: string
}

/** What is owed of one counter. */
interface Account {
  add(change: Change, now: number): void
  leave?(place: string): void
  debts(now: number): readonly Change[]
}

/** One counter, by the rule that holds for it now. */
export class CounterDebts {
  readonly #account: Account
  #charge: WindowCharge

  /** @param share the rule as this node counts by it alone; @param used what of that had been used before */
  constructor(charge: WindowCharge, { share, used, now }: { share: LimitRule; used: number; now: number }) {
    this.#charge = charge
    this.#account = accountOf(share, used, now)
  }

  add(charge: WindowCharge, change: Change, now: number): void {
    this.#charge = charge
    this.#account.add(change, now)
  }

  /** A place that was taken meanwhile is given back. */
  leave(place: string): void {
    this.#account.leave?.(place)
  }

  /** @param now ms since the epoch */
  debts(now: number): readonly Debt[] {
    const { rule } = this.#charge
    const until = now + countsForMs(rule, now)
    return this.#account
      .debts(now)
      .map(({ amount, window, place }) => ({ charge: { ...this.#charge, amount, window }, place, until }))
  }
}

function accountOf(rule: LimitRule, used: number, now: number): Account {
  switch (rule.algorithm) {
    case 'gcra':
    case 'tokenBucket':
      return new BucketDebts(rule, used, now)
    case 'allocation':
      return new Sum()
    case 'concurrency':
      return new Places()
    default:
      return new Windows(rule)
  }
}

class Sum implements Account {
  #amount = 0

  add({ amount }: Change): void {
    this.#amount += amount
  }

  debts() {
    return this.#amount === 0 ? [] : [{ amount: this.#amount, window: 0, place: '' }]
  }
}

/**
 * A bucket refills while Redis is away, here as there: what is owed is how much fuller that of this node is than it would be
 * by what had been used before.
 */
class BucketDebts implements Account {
  readonly #rule: LimitRule
  readonly #all = new Counter()
  readonly #before = new Counter()

  constructor(rule: LimitRule, used: number, now: number) {
    this.#rule = rule
    for (const counter of [this.#all, this.#before]) counter.charge(rule, { amount: used, id: '', window: 0 }, now)
  }

  add({ amount }: Change, now: number): void {
    this.#all.charge(this.#rule, { amount, id: '', window: 0 }, now)
  }

  debts(now: number) {
    const amount = this.#before.count(this.#rule, now).free - this.#all.count(this.#rule, now).free
    return amount === 0 ? [] : [{ amount, window: 0, place: '' }]
  }
}

type WindowRule = Exclude<LimitRule, { readonly algorithm: 'gcra' | 'tokenBucket' | 'allocation' | 'concurrency' }>

class Windows implements Account {
  readonly #rule: WindowRule
  readonly #amounts = new Map<number, number>()

  constructor(rule: WindowRule) {
    this.#rule = rule
  }

  add({ amount, window }: Change, now: number): void {
    for (const each of this.#amounts.keys()) if (!counts(this.#rule, each, now)) this.#amounts.delete(each)
    this.#amounts.set(window, (this.#amounts.get(window) ?? 0) + amount)
  }

  debts(now: number) {
    const counted = [...this.#amounts].filter(([window, amount]) => amount !== 0 && counts(this.#rule, window, now))
    // One that began with a charge here began with another one there.
    const isOwn = this.#rule.algorithm === 'fixedWindow' && this.#rule.from === 'firstCharge'
    return counted.map(([window, amount]) => ({ amount, window: isOwn && amount > 0 ? 0 : window, place: '' }))
  }
}

/** Whether anything of a window still counts. */
function counts(rule: WindowRule, window: number, now: number): boolean {
  switch (rule.algorithm) {
    case 'fixedWindow':
      return window + rule.windowMs > now
    case 'calendarWindow':
      return periodAt(rule.unit, window).end > now
    case 'slidingWindow':
      return window >= Math.floor(now / rule.windowMs) - 1
    default:
      return window >= Math.floor((now - rule.windowMs) / rule.bucketMs)
  }
}

/** What was taken and given back meanwhile is nobody's; what was given back and taken again is somebody's. */
class Places implements Account {
  readonly #places = new Map<string, number>()

  add({ amount, place }: Change): void {
    const isTaken = this.#places.get(place) === 1
    this.#places.delete(place)
    if ((amount > 0 || !isTaken) && this.#places.size < MOST_PLACES) this.#places.set(place, Math.sign(amount))
  }

  leave(place: string): void {
    if (this.#places.get(place) === 1) this.#places.delete(place)
  }

  debts() {
    return [...this.#places].map(([place, amount]) => ({ amount, window: 0, place }))
  }
}
