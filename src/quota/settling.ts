// Charging to Redis what was granted without it, until that has been done.

import { randomUUID } from 'node:crypto'
import type { Clock, Logger } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import type { Debt } from './away-debts.ts'
import type { AwayLimits } from './away-limits.ts'
import type { WindowCharge, WindowOutcome } from './charge.ts'
import type { QuotaMetrics } from './quota-metrics.ts'
import { isUnanswered, type RedisLimits } from './redis-limits.ts'

/** The first try, while Redis can be reached; each further one after twice the time, up to the longest. */
const FIRST_MS = 50
const LONGEST_MS = 5_000
/** Of the end, while Redis can be reached. */
const LAST_TRIES = 3
/** While so many debts are not paid no more are taken over from those that are noted. */
const MOST_UNPAID = 10_000
/** Charges under way at one time. */
const AT_ONCE = 64

export interface SettlingOptions {
  readonly away: Pick<AwayLimits, 'isOwing' | 'take'>
  readonly shared: Pick<RedisLimits, 'charge'>
  readonly link: Pick<RedisLink, 'state' | 'onUp'>
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: QuotaMetrics
  /** Hears how a counter stands. */
  readonly onHeard: (charge: WindowCharge, outcome: WindowOutcome, askedAt: number) => void
}

/** A debt with the name by which Redis knows it again: an answer may have been lost on its way. */
interface Named {
  readonly debt: Debt
  readonly id: string
}

export class Settling {
  readonly #options: SettlingOptions
  readonly #name = randomUUID()
  readonly #stopUp: () => void
  #unpaid: readonly Named[] = []
  /** The same by counter: it is asked for with each counter that is new, and callers choose how many these are. */
  readonly #sums = new Map<string, number>()
  #count = 0
  #waitMs = FIRST_MS
  #cancel: (() => void) | undefined
  #underWay: Promise<void> | undefined
  #isClosed = false

  constructor(options: SettlingOptions) {
    this.#options = options
    this.#stopUp = options.link.onUp(() => {
      this.#waitMs = FIRST_MS
      void this.settle()
    })
  }

  /** Something is owed. */
  soon(): void {
    if (this.#isClosed || this.#cancel !== undefined || !this.#isNeeded) return
    this.#cancel = this.#options.clock.after(this.#waitMs, () => {
      this.#cancel = undefined
      this.#waitMs = Math.min(LONGEST_MS, 2 * this.#waitMs)
      void this.settle()
    })
  }

  /** What of a counter is on its way to Redis, or waits for it. */
  unpaid(key: string): number {
    return this.#sums.get(key) ?? 0
  }

  /** Tries for the last time. What cannot be charged then nobody will know of. */
  async close(): Promise<void> {
    this.#stopUp()
    this.#isClosed = true
    this.#cancel?.()
    for (let tries = 0; tries < LAST_TRIES && this.#isNeeded; tries++) await this.settle()
    const { length } = this.#unpaid
    if (length > 0)
      this.#options.log.warn({ counters: length }, 'what quotas granted while Redis was away could not be charged')
  }

  /** While Redis cannot be reached nothing is tried: `onUp` will tell. */
  get #isNeeded(): boolean {
    return this.#options.link.state() === 'up' && (this.#unpaid.length > 0 || this.#options.away.isOwing)
  }

  /** Tries at once; resolves when each debt of now was tried. */
  async settle(): Promise<void> {
    await this.#underWay
    if (!this.#isNeeded || this.#underWay !== undefined) return
    this.#underWay = this.#run()
    await this.#underWay
    this.#underWay = undefined
    if (this.#unpaid.length === 0) this.#waitMs = FIRST_MS
    this.soon()
  }

  async #run(): Promise<void> {
    const debts = this.#unpaid.length < MOST_UNPAID ? this.#options.away.take() : []
    for (const debt of debts) this.#add(debt, debt.charge.amount)
    const all = [...this.#unpaid, ...debts.map((debt) => ({ debt, id: `${this.#name} ${this.#count++}` }))]
    const left: Named[] = []
    this.#unpaid = all
    for (let at = 0; at < all.length; at += AT_ONCE) {
      const part = all.slice(at, at + AT_ONCE)
      const isPaid = await Promise.all(part.map((each) => this.#pay(each)))
      for (const [index, each] of part.entries()) {
        if (isPaid[index] === true) this.#add(each.debt, -each.debt.charge.amount)
        else left.push(each)
      }
    }
    this.#unpaid = left
  }

  #add({ charge: { key } }: Debt, amount: number): void {
    const sum = this.unpaid(key) + amount
    if (sum === 0) this.#sums.delete(key)
    else this.#sums.set(key, sum)
  }

  /** Whether it is done with. */
  async #pay({ debt, id }: Named): Promise<boolean> {
    const { clock, shared, metrics, onHeard } = this.#options
    const { charge, place, until } = debt
    if (until <= clock.now()) return true
    const askedAt = clock.monotonic()
    metrics.called('settle')
    try {
      const [outcome] = await shared.charge([charge], { mode: 'count', id: place === '' ? id : place })
      if (outcome === undefined) return false
      if (outcome.left < 0 && charge.amount > 0) metrics.overshot(Math.min(charge.amount, -outcome.left))
      onHeard(charge, outcome, askedAt)
      return true
    } catch (error) {
      return !isUnanswered(error) && this.#lost(debt, error)
    }
  }

  #lost({ charge }: Debt, err: unknown): true {
    const { log } = this.#options
    log.warn({ err, counter: charge.key }, 'what a quota granted while Redis was away could not be charged')
    return true
  }
}
