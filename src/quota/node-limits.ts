// Limits as a node knows them: answered from what it holds or remembers where that is certain enough, else by Redis, and
// while Redis is away from its share.

import { LRUCache } from 'lru-cache'
import type {
  ChargeOptions,
  CounterChoice,
  LimitCharge,
  LimitOutcome,
  Limits,
  PlaceLeft,
} from '../adapter-kit/limits.ts'
import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { AwayLimits } from './away-limits.ts'
import { mergeCharges, type WindowCharge, type WindowOutcome } from './charge.ts'
import type { ChargingProcesses } from './charging-processes.ts'
import { type Held, Lease } from './lease.ts'
import { closedMs, pauseMs, promised, reopensMs } from './lease-bounds.ts'
import { meantBy } from './memory-limits.ts'
import { PlacesLeft } from './places-left.ts'
import type { QuotaMetrics } from './quota-metrics.ts'
import { isUnanswered, type RedisLimits } from './redis-limits.ts'
import { Settling, type SettlingOptions } from './settling.ts'
import { giveBackUnused } from './unused-charges.ts'
import { UnusedLeases } from './unused-leases.ts'

/** Counters of which this node knows something. */
const MAX_LEASES = 100_000
/** What is kept of a caller's time to answer it from the share: this part of it, and at most so many ms. */
const KEPT_PART = 2 / 3
const KEPT_MS = 10
/** How often somebody waits for what others have asked for, before it asks for itself. */
const MAX_WAITS = 3
/** How long the first calls wait for the first connection; most are there in some milliseconds. */
const FIRST_UP_MS = 1_000

export interface NodeLimitsOptions {
  readonly shared: Pick<RedisLimits, 'charge' | 'leave'>
  readonly link: Pick<RedisLink, 'state' | 'onUp'>
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: QuotaMetrics
  readonly processes: Pick<ChargingProcesses, 'count' | 'note'>
}

/** One of the charges of a call, with what this node knows of its counter. */
interface Party {
  readonly charge: LimitCharge
  readonly lease: Lease
  /** What may be held; 0 where Redis is to be asked. */
  readonly most: number
  /** What of the amount was taken from what is held, for now. */
  taken: Held
  /** What the call under way may bring, or bring back. */
  coming: number
}

/** `undefined` where Redis must be asked. */
type Known = WindowOutcome | undefined

const NOTHING: Held = { amount: 0, window: 0 }

export class NodeLimits implements Limits {
  readonly #options: NodeLimitsOptions
  readonly #away: AwayLimits
  readonly #left: PlacesLeft
  readonly #leases: LRUCache<string, Lease>
  readonly #unused: UnusedLeases
  readonly #settling: Settling
  readonly #stopUp: () => void
  /** Redis has been there once, or is not waited for any more. */
  readonly #firstUp: Promise<void>

  constructor(options: NodeLimitsOptions) {
    const { clock, processes, link } = options
    this.#options = options
    const usedShare = (key: string) => this.#leases.peek(key)?.usedShare(clock.monotonic()) ?? 0
    const unpaid = (key: string) => this.#settling.unpaid(key)
    this.#away = new AwayLimits({ clock, liveNodes: () => processes.count, usedShare, unpaid })
    this.#left = new PlacesLeft(options)
    this.#leases = new LRUCache({ max: MAX_LEASES })
    this.#unused = new UnusedLeases({ ...options, onKept: this.#inVain({ mode: 'each' }) })
    const onHeard: SettlingOptions['onHeard'] = (charge, outcome, askedAt) =>
      this.#lease(charge.key).heard(charge, outcome, charge.amount, askedAt, clock.monotonic())
    this.#settling = new Settling({ ...options, away: this.#away, onHeard })
    const first = Promise.withResolvers<void>()
    this.#firstUp = within(clock, FIRST_UP_MS, first.promise, () => undefined)
    this.#stopUp = link.onUp(() => {
      first.resolve()
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

  /** To Redis, from which it came, however it was charged: what is held here is not. Rejects where Redis gives no answer. */
  giveBack(charges: readonly LimitCharge[]): Promise<void> {
    const { shared, metrics } = this.#options
    metrics.called('back')
    return giveBackUnused(charges, (each) => shared.charge(each, { mode: 'each' }))
  }

  async leave(places: readonly PlaceLeft[]): Promise<number> {
    const here = this.#away.leave(places)
    return here + (await this.#left.leave(places))
  }

  /** Of a counter, ahead of need. */
  held(key: string): number {
    return this.#leases.peek(key)?.held(this.#options.clock.monotonic()) ?? 0
  }

  /** Lets go of what is held and remembered of counters. @returns 0: Redis counts */
  letGo(choice: CounterChoice): number {
    const isMeant = meantBy(choice)
    for (const [key, lease] of [...this.#leases.entries()].filter(([each]) => isMeant(each))) {
      // What was charged is forgotten, so there is nothing to give back.
      lease.drain()
      this.#leases.delete(key)
    }
    return 0
  }

  /** Gives back what is held. Where Redis is away it ends by itself. */
  async close(): Promise<void> {
    this.#stopUp()
    await this.#unused.close()
    await this.#settling.close()
  }

  /** Resolves when what was granted without Redis has been charged to it, as far as it answers. */
  settled(): Promise<void> {
    return this.#settling.settle()
  }

  #charge(charges: readonly LimitCharge[], options: ChargeOptions): LimitOutcome[] | Promise<LimitOutcome[]> {
    const { clock, processes } = this.#options
    const now = clock.monotonic()
    processes.note(now)
    // What has an id may have been charged through another node.
    const isKnowable = options.mode !== 'part' && (options.id ?? '') === ''
    const parties = charges.map((charge) => this.#party(charge, isKnowable, now))
    if (!isKnowable) return this.#ask(parties, parties.map(unknown), options)
    const known = this.#byItself(parties, options, now)
    return isComplete(known) ? known : this.#ask(parties, known, options)
  }

  #party(charge: LimitCharge, isKnowable: boolean, now: number): Party {
    const { key, amount } = charge
    const lease = this.#lease(key)
    if (amount > 0) lease.wanted(amount, now)
    // All nodes together keep the promised error.
    const most = isKnowable && amount > 0 ? Math.floor(promised(charge) / this.#options.processes.count) : 0
    return { charge, lease, most, taken: NOTHING, coming: 0 }
  }

  /** What can be told without Redis: of charges that go together all of it or nothing. */
  #byItself(parties: readonly Party[], { mode }: ChargeOptions, now: number): Known[] {
    if (mode !== 'all') return parties.map((party) => this.#singly(party, mode === 'count', now))
    if (parties.every((party) => isHeld(party, now))) return parties.map((party) => this.#fromHeld(party, now))
    const closed = parties.map((party) => refusedMs(party, now))
    if (closed.every((ms) => ms === undefined)) return parties.map(unknown)
    return parties.map((party, index) => this.#refused(party, closed[index], now))
  }

  #singly(party: Party, isCounted: boolean, now: number): Known {
    if (isHeld(party, now)) return this.#fromHeld(party, now)
    // What is refused counts all the same: later, where an error has been promised.
    if (isCounted && party.most === 0) return undefined
    const ms = refusedMs(party, now)
    if (ms === undefined) return undefined
    if (isCounted) party.lease.owe(party.charge.amount)
    return this.#refused(party, ms, now)
  }

  /** Spends what is held. */
  #fromHeld(party: Party, now: number): WindowOutcome {
    const { charge, lease, most } = party
    const { window } = lease.spend(charge.amount)
    const left = lease.left(now)
    this.#options.metrics.charged(charge, false, left, 'lease')
    const ahead = lease.ahead(charge.rule, most)
    if (lease.isLow(ahead, now) && this.#options.link.state() !== 'down') this.#renew(party, ahead, now)
    return { granted: charge.amount, isExceeded: false, left, resetMs: lease.resetMs(now), retryAfterMs: 0, window }
  }

  /** What was refused a moment ago is refused now, and what goes together with it. */
  #refused({ charge, lease }: Party, ms: number | undefined, now: number): WindowOutcome {
    const left = lease.left(now)
    const isExceeded = ms !== undefined
    if (isExceeded) this.#options.metrics.charged(charge, true, left, 'memory')
    return { granted: 0, isExceeded, left, resetMs: lease.resetMs(now), retryAfterMs: ms ?? 0, window: 0 }
  }

  async #ask(parties: readonly Party[], known: Known[], given: ChargeOptions): Promise<LimitOutcome[]> {
    const { clock, link } = this.#options
    const charges = parties.map(({ charge }) => charge)
    // Redis does not know what an id was granted without it.
    const before = this.#away.remembered(charges, given)
    if (before !== undefined) return before
    if (link.state() === 'down') await this.#untilFirstUp(given)
    if (link.state() === 'down') return this.#share(parties, known, given)
    const leftMs = (given.deadline ?? Number.POSITIVE_INFINITY) - clock.monotonic()
    const waitMs = leftMs - Math.min(KEPT_MS, leftMs * KEPT_PART)
    const asked = this.#askRedis(parties, known, { ...given, deadline: clock.monotonic() + waitMs })
    try {
      const found = await (waitMs === Number.POSITIVE_INFINITY ? asked : within(clock, waitMs, asked, noAnswer))
      return isComplete(found) ? found : this.#share(parties, found, given)
    } catch (error) {
      if (!isUnanswered(error)) throw error
      const had = [...known]
      // Who is answered from the share is not charged twice.
      const note = this.#inVain({ ...given, mode: 'each' })
      void asked.then(
        (late) => late.forEach((each, at) => each && had[at] === undefined && note(charges[at] as LimitCharge, each)),
        () => undefined,
      )
      return this.#share(parties, had, given)
    }
  }

  /** The first calls do not find a limit closed, or shared out, because a connection takes a moment. */
  async #untilFirstUp({ deadline = Number.POSITIVE_INFINITY }: ChargeOptions): Promise<void> {
    const { clock } = this.#options
    const leftMs = (deadline - clock.monotonic()) * (1 - KEPT_PART)
    await within(clock, Math.min(FIRST_UP_MS, leftMs), this.#firstUp, () => undefined)
  }

  /** Takes what Redis has charged for nothing: whoever asked was answered without it. */
  #inVain({ mode, id = '' }: ChargeOptions): (charge: WindowCharge, outcome: WindowOutcome) => void {
    return (charge, outcome) => {
      this.#away.charged({ mode, id }, charge, outcome)
      this.#settling.soon()
    }
  }

  async #askRedis(parties: readonly Party[], known: Known[], options: ChargeOptions): Promise<Known[]> {
    const { clock } = this.#options
    for (let waits = 0; waits < MAX_WAITS; waits++) {
      const pending = parties.flatMap(({ lease, most }, at) =>
        known[at] === undefined && most > 0 ? (lease.refill ?? []) : [],
      )
      if (pending.length === 0) break
      await Promise.all(pending)
      const now = clock.monotonic()
      const rest = parties.filter((_, at) => known[at] === undefined)
      const found = this.#byItself(rest, options, now)
      for (const [index, party] of rest.entries()) known[parties.indexOf(party)] = found[index]
      if (isComplete(known)) return known
    }
    return await this.#askNow(parties, known, options)
  }

  /**
   * Asks in one call for what is needed beyond what is held, and for what will be needed. What is held goes into the balance
   * first, and comes back where the charges are refused. What a part of a cluster does not answer stays unknown.
   */
  async #askNow(parties: readonly Party[], known: readonly Known[], options: ChargeOptions): Promise<Known[]> {
    const { clock, shared, metrics } = this.#options
    const askedAt = clock.monotonic()
    const open = parties.filter((_, at) => known[at] === undefined)
    for (const party of open) if (party.most > 0) take(party, askedAt)
    const asked = open.filter(({ charge, taken }) => taken.amount === 0 || taken.amount < charge.amount)
    const charges = asked.map((party) => neededBy(party, options.mode === 'count', askedAt))
    metrics.called(charges.some(({ ahead }) => ahead > 0) ? 'ahead' : 'charge')
    try {
      const answer = shared.charge(charges, { ...options, onCharged: this.#inVain(options) })
      refilling(
        asked.filter(({ most }, index) => most > 0 && (charges[index]?.ahead ?? 0) > 0),
        answer,
      )
      const heard = await answer
      const now = clock.monotonic()
      for (const [index, { lease, charge }] of asked.entries()) {
        const outcome = heard[index]
        if (outcome !== undefined) this.#hear(lease, charge, charges[index] as Needed, outcome, options.mode, askedAt)
      }
      const isRefused = options.mode === 'all' && heard.some((outcome) => outcome?.isExceeded)
      const silent = asked.filter((_, index) => heard[index] === undefined)
      this.#takeBack(silent, now)
      const found = new Map(
        open
          .filter((party) => !silent.includes(party))
          .map((party) => [party, this.#conclude(party, heard[asked.indexOf(party)], isRefused, options, now)]),
      )
      return parties.map((party, at) => known[at] ?? found.get(party))
    } catch (error) {
      this.#takeBack(open, clock.monotonic())
      throw error
    } finally {
      for (const { lease, coming } of open) lease.coming(-coming)
    }
  }

  /** What became of a charge, of which a part, or all, was taken from what is held. */
  #conclude(
    party: Party,
    heard: WindowOutcome | undefined,
    isRefused: boolean,
    { mode }: ChargeOptions,
    now: number,
  ): WindowOutcome {
    const { charge, lease, most, taken } = party
    const { isExceeded = false, window = taken.window } = heard ?? {}
    const isGranted = !isRefused && !isExceeded
    const left = most === 0 && heard !== undefined ? heard.left : lease.left(now)
    if (isGranted || isExceeded) this.#options.metrics.charged(charge, isExceeded, left, heard ? 'redis' : 'lease')
    if (most === 0 && heard !== undefined) return heard
    if (!isGranted && mode !== 'count') this.#takeBack([party], now)
    const { resetMs = lease.resetMs(now), retryAfterMs = 0 } = heard ?? {}
    return { granted: isGranted ? charge.amount : 0, isExceeded, left: lease.left(now), resetMs, retryAfterMs, window }
  }

  #hear(
    lease: Lease,
    charge: LimitCharge,
    { amount, ahead, most }: Pick<Needed, 'amount' | 'ahead' | 'most'>,
    outcome: WindowOutcome,
    mode: ChargeOptions['mode'],
    askedAt: number,
  ): void {
    const { clock, metrics } = this.#options
    // Of a charge that was not asked for, since another one was refused before, nothing was heard.
    if (amount > 0 && outcome.granted === 0 && !outcome.isExceeded && outcome.left < amount) return
    const now = clock.monotonic()
    const { rule } = charge
    const isCounted = mode === 'count' && outcome.isExceeded
    metrics.overshotHeld(lease.heard(charge, outcome, isCounted ? amount : outcome.granted, askedAt, now))
    const { retryAfterMs } = outcome
    const atLeastMs = most === 0 ? retryAfterMs : Math.max(retryAfterMs, pauseMs(rule))
    if (outcome.isExceeded)
      lease.refused(isCounted ? 1 : amount, rule.amount, { retryAfterMs, forMs: closedMs(atLeastMs) }, now)
    if (ahead === 0 || outcome.isExceeded) return
    const more = outcome.granted - amount
    if (more < 0) return
    const old = lease.took(more, rule, outcome, askedAt, now)
    if (old.amount > 0) this.#unused.giveBack(charge, lease, old)
    if (more > 0) this.#unused.watch(charge, lease)
    // Not all of it: then nothing is left for now. What comes in meanwhile is fetched at once, not one by one.
    const reopens = reopensMs(rule, outcome)
    if (more < ahead) lease.refused(1, rule.amount, { retryAfterMs: reopens, forMs: closedMs(reopens) }, now)
  }

  /** Asks for more where most of what is held ahead is gone. */
  #renew({ charge, lease, most }: Party, target: number, now: number): void {
    const { shared, metrics } = this.#options
    const ahead = lease.lacking(target, now)
    if (ahead === 0) return
    const needed = { ...charge, amount: 0, ahead, most }
    lease.coming(ahead)
    metrics.called('ahead')
    const asked = shared.charge([needed], { mode: 'each', onCharged: this.#inVain({ mode: 'each' }) })
    lease.refill = asked.then(
      ([outcome]) => {
        lease.refill = undefined
        lease.coming(-ahead)
        if (outcome !== undefined) this.#hear(lease, charge, needed, outcome, 'each', now)
      },
      () => {
        lease.refill = undefined
        lease.coming(-ahead)
      },
    )
  }

  /** Puts back what was taken for nothing; what can no more be spent is given back to Redis. */
  #takeBack(parties: readonly Party[], now: number): void {
    for (const party of parties) {
      const { charge, lease, taken } = party
      party.taken = NOTHING
      if (!lease.unspend(taken, now)) this.#unused.giveBack(charge, lease, taken)
    }
  }

  /** Answers from the share what nothing is known of. */
  #share(parties: readonly Party[], known: readonly Known[], options: ChargeOptions): LimitOutcome[] {
    const { metrics } = this.#options
    try {
      const open = parties.filter((_, at) => known[at] === undefined).map(({ charge }) => charge)
      const outcomes = this.#away.charge(open, options)
      for (const [index, charge] of open.entries()) {
        const outcome = outcomes[index]
        if (outcome !== undefined) metrics.charged(charge, outcome.isExceeded, outcome.left, 'share')
      }
      this.#settling.soon()
      let next = 0
      return known.map((each) => each ?? (outcomes[next++] as LimitOutcome))
    } catch (error) {
      metrics.failed('share')
      throw error
    }
  }

  #lease(key: string): Lease {
    let lease = this.#leases.get(key)
    if (lease === undefined) this.#leases.set(key, (lease = new Lease()))
    return lease
  }
}

type Needed = LimitCharge & { readonly ahead: number; readonly most: number }

/** Takes from what is held as much as there is of the amount. */
function take(party: Party, now: number): void {
  const { charge, lease } = party
  party.taken = lease.spend(Math.min(lease.held(now), charge.amount))
  party.coming = party.taken.amount
  lease.coming(party.coming)
}

/** What is to be asked of Redis for a charge. */
function neededBy(party: Party, isCounted: boolean, now: number): Needed {
  const { charge, lease, most, taken } = party
  const owed = isCounted ? lease.owed(now) : 0
  const ahead = lease.lacking(lease.ahead(charge.rule, most), now)
  party.coming += ahead
  lease.coming(ahead)
  return { ...charge, amount: charge.amount - taken.amount + owed, ahead, most }
}

/** Lets others wait for an answer, instead of asking for the same. */
function refilling(parties: readonly Party[], answer: Promise<unknown>): void {
  if (parties.length === 0) return
  const done = () => {
    for (const { lease } of parties) if (lease.refill === refill) lease.refill = undefined
  }
  const refill: Promise<void> = answer.then(done, done)
  for (const { lease } of parties) lease.refill = refill
}

function isHeld({ charge, lease, most }: Party, now: number): boolean {
  return most > 0 && lease.held(now) >= charge.amount
}

function refusedMs({ charge: { amount, rule }, lease }: Party, now: number): number | undefined {
  return amount > 0 ? lease.closedMs(amount - lease.held(now), rule.amount, now) : undefined
}

function isComplete(known: readonly Known[]): known is WindowOutcome[] {
  return !known.includes(undefined)
}

function unknown(): undefined {
  return undefined
}

function noAnswer(): never {
  throw new IntermixError('REDIS_UNAVAILABLE', 'Redis, which counts limits, gave no answer in time')
}
