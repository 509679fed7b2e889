// What a node knows of a counter, and what it has taken of it ahead of need so that most requests ask nobody.
//
// The amount follows the measured demand: what is asked for in a tenth of a second, renewed when three quarters of it are gone.
// Source of the shape: the prefetch of Mixer's client (quota_prefetch.cc), with shorter times, an end to each lease, and no
// spending of what has not been granted.

import type { LimitCharge, LimitRule } from '../adapter-kit/limits.ts'
import { spendableMs } from '../adapter-kit/spendable.ts'
import { mostOf } from './algorithms/index.ts'
import type { WindowOutcome } from './charge.ts'
import { aheadMs, countsOn, promised, refilled, stillUsed } from './lease-bounds.ts'

/** Over what time the demand is averaged. */
const AVERAGE_MS = 1_000

/** What is refused for a while, without asking. */
interface Closed {
  readonly until: number
  /** This much and more. */
  readonly amount: number
  /** Under this limit: one that has been raised since is another one. */
  readonly limit: number
  readonly retryAt: number
}

interface Refusal {
  /** When it is worth to try again. */
  readonly retryAfterMs: number
  /** For how long it is remembered. */
  readonly forMs: number
}

/** An amount, and the window in which it was charged. */
export interface Held {
  readonly amount: number
  readonly window: number
}

const NOTHING: Held = { amount: 0, window: 0 }

/** Times are of the monotonic clock, in ms. */
export class Lease {
  #amount = 0
  #validUntil = 0
  #demand = 0
  #demandAt = 0
  #closed: Closed | undefined
  #left = 0
  #limit = 0
  #heardAt = 0
  #resetAt = 0
  #window = 0
  /** Of what was held since it was heard last: the most at one time, and what was spent. */
  #most = 0
  #spent = 0
  /** What has been refilled although it was held: what of it is granted may be beyond the limit, if that was full. */
  #late = 0
  /** What was refused from memory and would have been counted. */
  #uncounted = 0
  /** What calls under way may bring, or bring back. */
  #coming = 0
  /** While more is being asked for; it never rejects. */
  refill: Promise<void> | undefined

  /** Notes what is asked for. */
  wanted(amount: number, now: number): void {
    this.#demand = this.#demand * Math.exp((this.#demandAt - now) / AVERAGE_MS) + amount
    this.#demandAt = now
  }

  /** What can be spent. */
  held(now: number): number {
    return now < this.#validUntil ? this.#amount : 0
  }

  spend(amount: number): Held {
    this.#amount -= amount
    this.#spent += amount
    return amount === 0 ? NOTHING : { amount, window: this.#window }
  }

  /** Takes back what was spent for nothing. @returns whether it can be held again */
  unspend({ amount, window }: Held, now: number): boolean {
    if (amount > 0 && (window !== this.#window || now >= this.#validUntil)) return false
    this.#amount += amount
    this.#spent -= amount
    return true
  }

  /** How much to hold, at most `most`: what is asked for in a while at the present demand. */
  ahead(rule: LimitRule, most: number): number {
    return most === 0 ? 0 : Math.min(most, Math.ceil((this.#demand / AVERAGE_MS) * aheadMs(rule)))
  }

  /** How much to ask for, to hold `ahead` with what is held and what is under way already: calls that go side by side share it. */
  lacking(ahead: number, now: number): number {
    return Math.max(0, Math.ceil(ahead - this.held(now) - this.#coming))
  }

  /** A call is under way that may bring so much, or, with a negative amount, has ended. */
  coming(amount: number): void {
    this.#coming += amount
  }

  /** Whether it is time to ask for more, to hold `ahead`. */
  isLow(ahead: number, now: number): boolean {
    const isOpen = this.#closed === undefined || now >= this.#closed.until
    return this.refill === undefined && isOpen && this.held(now) < ahead / 4
  }

  /** What is left, as it was heard last; what is held here is not used yet. */
  left(now: number): number {
    return this.#left + this.held(now)
  }

  /** Until it resets, as it was heard last. */
  resetMs(now: number): number {
    return Math.max(0, Math.ceil(this.#resetAt - now))
  }

  /** Milliseconds for which so much is refused, as it was a moment ago; `undefined` where it is not. */
  closedMs(amount: number, limit: number, now: number): number | undefined {
    const closed = this.#closed
    if (closed === undefined || now >= closed.until || amount < closed.amount || limit !== closed.limit)
      return undefined
    return Math.max(1, Math.ceil(closed.retryAt - now))
  }

  /** The share (0 to 1) of the limit that all nodes had used, as far as that still counts. */
  usedShare(now: number): number {
    if (now >= this.#resetAt || this.#limit === 0) return 0
    return Math.min(1, Math.max(0, 1 - this.#left / this.#limit))
  }

  /**
   * Takes in what became of a charge of `charged`, after which `#late` is known anew.
   * @param askedAt when Redis was asked: what was granted counts from then on, since nothing is known of the way
   * @returns what was granted beyond the limit at most, found now
   */
  heard(charge: LimitCharge, outcome: WindowOutcome, charged: number, askedAt: number, now: number): number {
    const { rule } = charge
    this.#judge(charge, now)
    // Redis was in another window before we thought that this one is over: what was spent may belong to either.
    const strayed = now < this.#validUntil && outcome.window !== this.#window ? this.#spent : 0
    // Full at any time since it was heard last? Charges only lower what is left; what may be given back is what is held.
    const room = 2 * promised(charge) + refilled(rule, now - this.#heardAt)
    const over = rule.algorithm === 'gcra' && outcome.left + charged < room ? this.#late : 0
    this.#late -= over
    this.#left = outcome.left
    this.#limit = mostOf(rule)
    this.#heardAt = askedAt
    this.#resetAt = askedAt + outcome.resetMs
    this.#spent = 0
    return over + strayed
  }

  /** So much of what Redis granted is held now. @returns what was held and may be spent no more */
  took(amount: number, rule: LimitRule, outcome: WindowOutcome, askedAt: number, now: number): Held {
    const isOver = outcome.window !== this.#window || now >= this.#validUntil
    const old = isOver ? { amount: this.#amount, window: this.#window } : NOTHING
    this.#amount = (isOver ? 0 : this.#amount) + amount
    this.#most = Math.max(this.#most, this.#amount)
    this.#window = outcome.window
    this.#validUntil = askedAt + spendableMs(rule, outcome)
    return old
  }

  /** So much, and more, was refused, and is for a while without asking. */
  refused(amount: number, limit: number, { retryAfterMs, forMs }: Refusal, now: number): void {
    this.#closed = { until: now + forMs, amount, limit, retryAt: now + retryAfterMs }
  }

  /** Something is to be counted although it was refused from memory. */
  owe(amount: number): void {
    this.#uncounted += amount
  }

  /** What is owed of the time that still counts; it is asked once. */
  owed(now: number): number {
    const amount = now < this.#resetAt ? this.#uncounted : 0
    this.#uncounted = 0
    return amount
  }

  /** What is held and was not used in its time; it is nobody's from now on. */
  expired(now: number): Held {
    return now < this.#validUntil ? NOTHING : this.drain()
  }

  drain(): Held {
    const held = { amount: this.#amount, window: this.#window }
    this.#amount = 0
    return held
  }

  /**
   * What of an unused amount is to be given back: of a bucket not what it has refilled at any time in the meantime, since that
   * has been others' already, whatever they have used since.
   */
  returnable(charge: LimitCharge, { amount, window }: Held, now: number): number {
    if (amount === 0 || (!countsOn(charge.rule) && (now >= this.#resetAt || window !== this.#window))) return 0
    this.#judge(charge, now)
    const back = Math.max(0, Math.floor(Math.min(amount * this.#backedShare(charge, now), amount - this.#late)))
    this.#late = Math.max(0, this.#late - (amount - back))
    return back
  }

  /** Whether something is held late that can still be spent, of which nobody knows yet whether the limit was full. */
  isUnjudged({ algorithm }: LimitRule): boolean {
    return algorithm === 'gcra' && this.#late > 0
  }

  /**
   * A bucket forgets charges that are held while hardly anything else is used. Where it refills all the time they are spent all
   * the same: that, the most that was ever held without being backed, is what may be granted beyond the limit once.
   */
  #judge(charge: LimitCharge, now: number): void {
    if (this.#most > 0 && 'burst' in charge.rule)
      this.#late = Math.max(this.#late, this.#most * (1 - this.#backedShare(charge, now)))
    this.#most = this.#amount
  }

  /** What certainly counts in the bucket, as a share (0 to 1) of what all nodes may hold of it: so much of each is backed. */
  #backedShare(charge: LimitCharge, now: number): number {
    const { rule } = charge
    if (!('burst' in rule)) return 1
    // What is left is a whole number: up to one less may be used.
    const used = stillUsed(rule, rule.burst - this.#left - 1, now - this.#heardAt)
    return Math.min(1, used / Math.max(1, promised(charge)))
  }
}
