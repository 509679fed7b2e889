// One pool of a quota: amounts that were leased ahead of need, from which demands are granted without asking anybody. A model of
// Mixer's client (istio/proxy 1.4, quota_prefetch.cc), with its constants as options.

import type { Random } from '../../kernel/ports.ts'
import { DemandWindow } from './demand-window.ts'
import type { PrefetchOptions } from './prefetch-options.ts'

/** An amount that can be spent until a time. */
interface Slot {
  available: number
  until: number
}

/** An amount that somebody is to be asked for. */
export interface Lease {
  readonly amount: number
  readonly askedAt: number
  /** What of it may be spent before it is granted. */
  readonly ahead: number
  readonly slot: Slot | undefined
}

export interface LeaseGrant {
  readonly granted: number
  /** What of it is spent already. */
  readonly spent?: number
  /** From when it counts for how long it may be spent, and for how long, in ms. */
  readonly from: number
  readonly validForMs: number
  /** Where less was granted: when it is worth to ask again, in ms, as far as that is known. */
  readonly retryAfterMs?: number
  /** The least amount that is refused now: 1 unless given. */
  readonly refusedFrom?: number
}

/** Times are of the monotonic clock, in ms. */
export class QuotaPrefetch {
  readonly #options: PrefetchOptions
  readonly #random: Random
  readonly #demand: DemandWindow
  /** In the order in which they are spent. */
  readonly #slots: Slot[] = []
  /** In the order in which they were asked for. */
  readonly #leases: Lease[] = []
  #askedAt = Number.NEGATIVE_INFINITY
  /** For how long what is granted may be spent, as it was told last. */
  #lifeMs = Number.POSITIVE_INFINITY
  /** Less was granted than was asked for, last time. */
  #isClosed = false
  #closedUntil = 0
  #closedFrom = 1
  /** After a failure nobody is asked ahead of need until then. */
  #restsUntil = 0
  /** What can be, or was, spent ahead of the replies to come; and what was although it was not granted. */
  #ahead = 0
  #owed = 0

  constructor(options: PrefetchOptions, random: Random, now: number) {
    this.#options = options
    this.#random = random
    this.#demand = new DemandWindow(options.windowMs, now)
  }

  /** What can be spent now. */
  available(now: number): number {
    let sum = 0
    for (const { available, until } of this.#slots) if (now < until) sum += available
    return sum
  }

  /**
   * Whether so much is refused without asking: it was a moment ago, or somebody is asking just now whether it still is.
   */
  refuses(amount: number, now: number): boolean {
    return this.#isClosed && amount >= this.#closedFrom && (this.#leases.length > 0 || now < this.#closedUntil)
  }

  /**
   * What has to be asked for, before a demand is looked at: `granted` or `failed` is to be told of it.
   * @param least the part of the amount that would do
   */
  refill(amount: number, now: number, least = amount): Lease | undefined {
    this.#giveUpLost(now)
    if (this.refuses(least, now)) return undefined
    const { minAmount, maxAmount, aheadMs, maxAheadShare, windowMs, maxInFlight } = this.#options
    if (this.#leases.length >= maxInFlight || amount > maxAmount) return undefined
    const available = this.available(now)
    // Without a bound also what is valid for no time.
    const forMs = Number.isFinite(maxAheadShare) ? Math.min(aheadMs, this.#lifeMs * maxAheadShare) : aheadMs
    const demanded = Math.ceil((this.#demand.count(now) * forMs) / windowMs)
    const wanted = Math.min(maxAmount, Math.max(demanded, minAmount))
    const isLow = available < Math.floor(wanted / 2) && this.#leases.length === 0 && now >= this.#restsUntil
    return isLow || available < amount ? this.#lease(Math.max(amount, wanted), available, now) : undefined
  }

  /** Notes what is asked for, by which the next amounts are reckoned. */
  note(amount: number, now: number): void {
    this.#demand.add(amount, now)
  }

  /** Spends all of an amount, or nothing. */
  spend(amount: number, now: number): boolean {
    if (this.available(now) < amount) return false
    this.#take(amount, now)
    return true
  }

  /** Spends what there is. @returns so much */
  spendMost(amount: number, now: number): number {
    return amount - this.#take(amount, now)
  }

  /** For how long, in whole ms, what is spent next could have been kept. */
  lifeMs(now: number): number {
    for (const { available, until } of this.#slots) if (available > 0 && now < until) return Math.floor(until - now)
    return 0
  }

  /** A reply has come, maybe late. */
  granted(lease: Lease, grant: LeaseGrant, now: number): void {
    const { amount, ahead, slot } = lease
    const isAwaited = this.#awaitedNoMore(lease)
    const lifeMs = Math.min(grant.validForMs, this.#options.maxLifeMs)
    const until = grant.from + lifeMs
    if (grant.granted > 0) this.#lifeMs = lifeMs
    const granted = this.#repay(grant.granted - (grant.spent ?? 0))
    if (slot === undefined || !isAwaited) this.#add(granted, until)
    else {
      this.#ahead -= ahead
      if (granted < ahead) this.#takeBack(slot, ahead - granted, now)
      if (slot.available > 0) slot.until = until
      this.#add(granted - ahead, until)
    }
    if (!isAwaited) return
    if (grant.granted < amount) this.close(grant, now)
    // More than was asked for is no answer to the question either.
    else if (grant.granted > amount) this.close({}, now)
    else this.#isClosed = false
  }

  /** There will be no reply. */
  failed(lease: Lease, now: number): void {
    if (!this.#leases.includes(lease)) return
    this.abandon(lease, now)
    this.#restsUntil = now + this.#options.closedMs
  }

  /** The reply is none of this pool. */
  abandon(lease: Lease, now: number): void {
    if (!this.#awaitedNoMore(lease) || lease.slot === undefined) return
    this.#ahead -= lease.ahead
    this.#takeBack(lease.slot, lease.ahead, now)
  }

  /** Nothing, or not all of an amount, is to be had for a moment. */
  close({ retryAfterMs, refusedFrom = 1 }: Pick<LeaseGrant, 'retryAfterMs' | 'refusedFrom'>, now: number): void {
    const { closedMs, jitter, closedFromAsking } = this.#options
    const pauseMs = Math.min(closedMs, retryAfterMs ?? closedMs) * (1 + jitter * (2 * this.#random() - 1))
    this.#isClosed = true
    this.#closedFrom = refusedFrom
    this.#closedUntil = (closedFromAsking ? this.#askedAt : now) + pauseMs
  }

  #lease(amount: number, available: number, now: number): Lease {
    const { maxOptimistic, leaseTimeoutMs } = this.#options
    const isOptimistic = available === 0 && !this.#isClosed
    const ahead = isOptimistic ? Math.max(0, Math.min(amount, maxOptimistic - this.#ahead - this.#owed)) : 0
    const slot = ahead > 0 ? { available: ahead, until: now + leaseTimeoutMs } : undefined
    if (slot !== undefined) this.#slots.push(slot)
    this.#ahead += ahead
    this.#askedAt = now
    const lease = { amount, askedAt: now, ahead, slot }
    this.#leases.push(lease)
    return lease
  }

  /** @returns whether its reply was waited for */
  #awaitedNoMore(lease: Lease): boolean {
    const at = this.#leases.indexOf(lease)
    if (at >= 0) this.#leases.splice(at, 1)
    return at >= 0
  }

  #giveUpLost(now: number): void {
    for (const lease of this.#leases) if (now - lease.askedAt >= this.#options.leaseTimeoutMs) this.failed(lease, now)
  }

  #add(amount: number, until: number): void {
    if (amount > 0) this.#slots.push({ available: amount, until })
  }

  /** @returns what is left of a grant */
  #repay(granted: number): number {
    const repaid = Math.min(this.#owed, granted)
    this.#owed -= repaid
    return granted - repaid
  }

  /** Of what could be spent ahead; what has been spent is taken from all that there is. */
  #takeBack(slot: Slot, amount: number, now: number): void {
    const unspent = Math.min(slot.available, amount)
    slot.available -= unspent
    const missing = this.#take(amount - unspent, now)
    if (this.#options.maxOptimistic !== Number.POSITIVE_INFINITY) this.#owed += missing
  }

  /** @returns what there was not */
  #take(amount: number, now: number): number {
    let missing = amount
    for (let slot = this.#slots[0]; slot !== undefined; slot = this.#slots[0]) {
      const taken = now < slot.until ? Math.min(slot.available, missing) : 0
      slot.available -= taken
      missing -= taken
      if (now < slot.until && (slot.available > 0 || missing === 0)) break
      this.#slots.shift()
    }
    return missing
  }
}
