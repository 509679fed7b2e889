// Limits as a node knows them: answered from what it holds or remembers where that is certain enough, else by Redis, and
// while Redis is away from its share.

import { LRUCache } from 'lru-cache'
import type { ChargeOptions, LimitCharge, LimitOutcome, Limits, PlaceLeft } from '../adapter-kit/limits.ts'
import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { AwayLimits } from './away-limits.ts'
import type { ChargingProcesses } from './charging-processes.ts'
import { mergeCharges, type WindowOutcome } from './charge.ts'
import { CLOSED_MS, Lease } from './lease.ts'
import { PlacesLeft } from './places-left.ts'
import type { QuotaMetrics } from './quota-metrics.ts'
import type { RedisLimits } from './redis-limits.ts'

/** Counters of which this node knows something. */
const MAX_LEASES = 100_000
/** What is kept of a caller's time to answer it from the share: this part of it, and at most so many ms. */
const KEPT_PART = 0.2
const KEPT_MS = 10
/** How often it looks for what is held and was not used. */
const SWEEP_MS = 250

export interface NodeLimitsOptions {
  readonly shared: Pick<RedisLimits, 'charge' | 'leave'>
  readonly link: Pick<RedisLink, 'state' | 'onUp'>
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: QuotaMetrics
  readonly processes: Pick<ChargingProcesses, 'count' | 'note'>
}

export class NodeLimits implements Limits {
  readonly #options: NodeLimitsOptions
  readonly #away: AwayLimits
  readonly #left: PlacesLeft
  readonly #leases: LRUCache<string, Lease>
  /** The counters of which something is held. */
  readonly #holding = new Map<string, LimitCharge>()
  readonly #stopUp: () => void
  #cancelSweep: (() => void) | undefined

  constructor(options: NodeLimitsOptions) {
    const { clock, processes, link } = options
    this.#options = options
    const usedShare = (key: string) => this.#leases.peek(key)?.usedShare(clock.monotonic()) ?? 0
    this.#away = new AwayLimits({ clock, liveNodes: () => processes.count, usedShare })
    this.#left = new PlacesLeft(options)
    this.#leases = new LRUCache({ max: MAX_LEASES })
    this.#stopUp = link.onUp(() => {
      void this.#settle()
      void this.#left.settle()
    })
  }

  /** Rejects with INVALID_REQUEST for senseless charges, and as a limit is `closed` while Redis is away. */
  charge(charges: readonly LimitCharge[], options: ChargeOptions): LimitOutcome[] | Promise<LimitOutcome[]> {
    if (charges.length <= 1) return this.#charge(charges, options)
    const { merged, share } = mergeCharges(charges)
    const outcomes = this.#charge(merged, options)
    return outcomes instanceof Promise ? outcomes.then(share) : share(outcomes)
  }

  #charge(charges: readonly LimitCharge[], options: ChargeOptions): LimitOutcome[] | Promise<LimitOutcome[]> {
    const now = this.#options.clock.monotonic()
    this.#options.processes.note(now)
    for (const { key, amount } of charges) if (amount > 0) this.#lease(key).wanted(amount, now)
    return this.#byItself(charges, options, now) ?? this.#ask(charges, options)
  }

  async leave(places: readonly PlaceLeft[]): Promise<number> {
    const here = this.#away.leave(places)
    return here + (await this.#left.leave(places))
  }

  /** Gives back what is held. Where Redis is away it ends by itself. */
  async close(): Promise<void> {
    this.#stopUp()
    this.#cancelSweep?.()
    const held = [...this.#holding.values()]
    this.#holding.clear()
    await Promise.all(held.map((charge) => this.#giveBack(charge, this.#lease(charge.key).drain())))
  }

  /** What can be told without Redis; `undefined` where it must be asked. */
  #byItself(charges: readonly LimitCharge[], options: ChargeOptions, now: number): LimitOutcome[] | undefined {
    // What has an id may have been charged through another node.
    if (options.mode === 'part' || (options.id ?? '') !== '') return undefined
    return this.#fromLeases(charges, now) ?? this.#refusedAgain(charges, options, now)
  }

  /** Spends what is held, where it is enough of everything. */
  #fromLeases(charges: readonly LimitCharge[], now: number): LimitOutcome[] | undefined {
    for (const charge of charges)
      if (!this.#isLeasable(charge) || this.#lease(charge.key).held(now) < charge.amount) return undefined
    return charges.map((charge) => {
      const lease = this.#lease(charge.key)
      lease.spend(charge.amount)
      const { left, resetMs } = lease.standing(now)
      this.#options.metrics.charged(charge, false, left, 'lease')
      this.#renew(charge, lease, now)
      return { granted: charge.amount, isExceeded: false, left, resetMs, retryAfterMs: 0 }
    })
  }

  /** What was refused a moment ago is refused now. */
  #refusedAgain(charges: readonly LimitCharge[], { mode }: ChargeOptions, now: number): LimitOutcome[] | undefined {
    const closed = charges.map(({ key, rule, amount }) => {
      const lease = this.#leases.get(key)
      return amount > 0 && lease !== undefined && lease.held(now) < amount
        ? lease.closedMs(amount, rule.amount, now)
        : undefined
    })
    const isKnown = (ms: number | undefined) => ms !== undefined
    if (mode === 'all' ? !closed.some(isKnown) : !closed.every(isKnown) || mode === 'count') return undefined
    return charges.map((charge, index) => {
      const retryAfterMs = closed[index]
      const { left, resetMs } = this.#lease(charge.key).standing(now)
      const isExceeded = retryAfterMs !== undefined
      if (isExceeded) this.#options.metrics.charged(charge, true, left, 'memory')
      return { granted: 0, isExceeded, left, resetMs, retryAfterMs: retryAfterMs ?? 0 }
    })
  }

  async #ask(charges: readonly LimitCharge[], options: ChargeOptions): Promise<LimitOutcome[]> {
    const { clock, link } = this.#options
    if (link.state() === 'down') return this.#share(charges, options)
    const { deadline = Number.POSITIVE_INFINITY } = options
    const asked = this.#askRedis(charges, options)
    try {
      if (deadline === Number.POSITIVE_INFINITY) return await asked
      const leftMs = deadline - clock.monotonic()
      return await within(clock, leftMs - Math.min(KEPT_MS, leftMs * KEPT_PART), asked, () => {
        throw new IntermixError('REDIS_UNAVAILABLE', 'Redis, which counts limits, gave no answer in time')
      })
    } catch (error) {
      // What comes too late is mostly counted by Redis all the same: it is charged again only if Redis goes down and comes back.
      if (!(error instanceof IntermixError) || error.code !== 'REDIS_UNAVAILABLE') throw error
      return this.#share(charges, options)
    }
  }

  async #askRedis(charges: readonly LimitCharge[], options: ChargeOptions): Promise<LimitOutcome[]> {
    const [only] = charges
    const { refill } = charges.length === 1 && only !== undefined ? this.#lease(only.key) : {}
    if (refill !== undefined) {
      await refill
      const known = this.#byItself(charges, options, this.#options.clock.monotonic())
      if (known !== undefined) return known
    }
    const isAlone = charges.length === 1 && options.mode !== 'part' && (options.id ?? '') === ''
    if (isAlone && only !== undefined && this.#isLeasable(only)) return [await this.#askAhead(only, options)]
    return await this.#askExactly(charges, options)
  }

  async #askExactly(charges: readonly LimitCharge[], options: ChargeOptions): Promise<LimitOutcome[]> {
    const { clock, shared, metrics } = this.#options
    const askedAt = clock.monotonic()
    metrics.called('charge')
    const outcomes = await shared.charge(charges, options)
    for (const [index, charge] of charges.entries()) {
      const outcome = outcomes[index]
      if (outcome !== undefined) this.#hear(charge, outcome, askedAt)
    }
    return outcomes
  }

  /** Asks for what is needed and for what will be. */
  async #askAhead(charge: LimitCharge, options: ChargeOptions): Promise<LimitOutcome> {
    const { clock } = this.#options
    const lease = this.#lease(charge.key)
    const ahead = lease.ahead(this.#most(charge))
    if (ahead <= charge.amount) {
      const [outcome] = await this.#askExactly([charge], options)
      return outcome as LimitOutcome
    }
    const outcome = await this.#fetch(charge, lease, charge.amount + ahead)
    const now = clock.monotonic()
    const isGranted = lease.held(now) >= charge.amount
    if (isGranted) lease.spend(charge.amount)
    const { left, resetMs } = lease.standing(now)
    this.#options.metrics.charged(charge, !isGranted, left, 'redis')
    const retryAfterMs = isGranted ? 0 : outcome.retryAfterMs
    return { granted: isGranted ? charge.amount : 0, isExceeded: !isGranted, left, resetMs, retryAfterMs }
  }

  /** Asks for more where most of what is held ahead is gone. */
  #renew(charge: LimitCharge, lease: Lease, now: number): void {
    const ahead = lease.ahead(this.#most(charge))
    if (!lease.isLow(ahead, now) || this.#options.link.state() === 'down') return
    void this.#fetch(charge, lease, Math.ceil(ahead - lease.held(now))).catch(() => undefined)
  }

  async #fetch(charge: LimitCharge, lease: Lease, amount: number): Promise<WindowOutcome> {
    const { clock, shared, metrics } = this.#options
    const askedAt = clock.monotonic()
    void this.#giveBack(charge, lease.expired(askedAt))
    metrics.called('ahead')
    const asked = shared.charge([{ ...charge, amount }], { mode: 'part' })
    lease.refill = asked.then(
      () => undefined,
      () => undefined,
    )
    try {
      const [outcome] = await asked
      if (outcome === undefined) throw new IntermixError('INTERNAL', 'a charge without an outcome')
      lease.heard(outcome, charge.rule.amount, askedAt)
      lease.took(outcome.granted, outcome, askedAt)
      // Not all of it: then nothing is left for now. What comes in meanwhile is fetched at once, not one by one.
      if (outcome.granted < amount) lease.refused(1, charge.rule.amount, CLOSED_MS, clock.monotonic())
      if (outcome.granted > 0) this.#hold(charge)
      return outcome
    } finally {
      lease.refill = undefined
    }
  }

  #hear(charge: LimitCharge, outcome: WindowOutcome, askedAt: number): void {
    const lease = this.#lease(charge.key)
    const { rule, amount } = charge
    lease.heard(outcome, rule.amount, askedAt)
    if (outcome.isExceeded) lease.refused(amount, rule.amount, outcome.retryAfterMs, this.#options.clock.monotonic())
    this.#options.metrics.charged(charge, outcome.isExceeded, outcome.left, 'redis')
  }

  #share(charges: readonly LimitCharge[], options: ChargeOptions): LimitOutcome[] {
    const { metrics } = this.#options
    try {
      const outcomes = this.#away.charge(charges, options)
      for (const [index, charge] of charges.entries()) {
        const outcome = outcomes[index]
        if (outcome !== undefined) metrics.charged(charge, outcome.isExceeded, outcome.left, 'share')
      }
      return outcomes
    } catch (error) {
      metrics.failed('share')
      throw error
    }
  }

  /** Charges to Redis what was granted while it was away. */
  async #settle(): Promise<void> {
    const { shared, metrics, log } = this.#options
    for (const { charge, amount } of this.#away.settle()) {
      metrics.called('settle')
      try {
        const [outcome] = await shared.charge([{ ...charge, amount }], { mode: 'count' })
        if (outcome !== undefined && outcome.left < 0) metrics.overshot(Math.min(amount, -outcome.left))
      } catch (error) {
        log.warn({ err: error, counter: charge.key }, 'what a quota granted while Redis was away could not be charged')
      }
    }
  }

  #hold(charge: LimitCharge): void {
    this.#holding.set(charge.key, charge)
    this.#cancelSweep ??= this.#options.clock.after(SWEEP_MS, () => this.#sweep())
  }

  /** Gives back what nobody wanted in its time. */
  #sweep(): void {
    this.#cancelSweep = undefined
    const now = this.#options.clock.monotonic()
    for (const [key, charge] of this.#holding) {
      const lease = this.#leases.peek(key)
      if (lease !== undefined && lease.held(now) > 0) continue
      this.#holding.delete(key)
      void this.#giveBack(charge, lease?.expired(now) ?? 0)
    }
    if (this.#holding.size > 0) this.#cancelSweep = this.#options.clock.after(SWEEP_MS, () => this.#sweep())
  }

  async #giveBack(charge: LimitCharge, amount: number): Promise<void> {
    const { shared, metrics, link } = this.#options
    if (amount <= 0 || link.state() === 'down') return
    metrics.called('back')
    const { window } = this.#lease(charge.key)
    // Where this fails, it counts as used until the limit resets.
    await shared.charge([{ ...charge, amount: -amount, window }], { mode: 'each' }).catch(() => undefined)
  }

  /** What this node may hold at most, so that all nodes together keep the promised error. */
  #most({ rule, accuracy = 0 }: LimitCharge): number {
    return Math.floor((accuracy * rule.amount) / this.#options.processes.count)
  }

  #isLeasable(charge: LimitCharge): boolean {
    const { algorithm } = charge.rule
    if (charge.amount <= 0 || algorithm === 'concurrency' || algorithm === 'allocation') return false
    return this.#most(charge) >= 1
  }

  #lease(key: string): Lease {
    let lease = this.#leases.get(key)
    if (lease === undefined) this.#leases.set(key, (lease = new Lease()))
    return lease
  }
}
