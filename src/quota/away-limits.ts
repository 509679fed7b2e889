// What a node goes on with while Redis is away: its share of each limit, which is charged to Redis afterwards.

import type { ChargeOptions, LimitCharge, LimitOutcome, LimitRule, PlaceLeft } from '../adapter-kit/limits.ts'
import { IntermixError } from '../kernel/errors.ts'
import { Generations } from '../kernel/generations.ts'
import type { Clock } from '../kernel/ports.ts'
import { countsForMs, mostOf } from './algorithms/index.ts'
import { CounterDebts, type Debt } from './away-debts.ts'
import type { WindowCharge, WindowOutcome } from './charge.ts'
import { Counter } from './counter.ts'
import { MemoryLimits, memoryKey, MOST_REMEMBERED, REMEMBER_MS } from './memory-limits.ts'

/** Counters that are remembered to be charged afterwards; of further ones nobody will know. */
const MAX_DEBTS = 10_000
const CLOSED = 'Redis, which counts this limit, is away'

export interface AwayLimitsOptions {
  readonly clock: Clock
  /** How many nodes there are, this one included, as far as it is known. */
  readonly liveNodes: () => number
  /** What share (0 to 1) of a limit had been used when it was heard of last; 0 where nothing is known. */
  readonly usedShare: (key: string) => number
  /** What this node has granted of it since without Redis having heard of it. */
  readonly unpaid: (key: string) => number
}

export class AwayLimits {
  readonly #options: AwayLimitsOptions
  readonly #memory: MemoryLimits
  /** What is owed for a call is owed once, however often that is made. */
  readonly #outcomes = new Generations<LimitOutcome[]>(REMEMBER_MS, MOST_REMEMBERED)
  readonly #debts = new Map<string, CounterDebts>()

  constructor(options: AwayLimitsOptions) {
    this.#options = options
    this.#memory = new MemoryLimits({ clock: options.clock })
  }

  /** Whether anything may have to be charged to Redis. */
  get isOwing(): boolean {
    return this.#debts.size > 0
  }

  /** What became of a call that was answered here before. */
  remembered(charges: readonly LimitCharge[], { id = '' }: ChargeOptions): LimitOutcome[] | undefined {
    const memory = memoryKey(charges, id)
    return memory === '' ? undefined : this.#outcomes.get(memory, this.#options.clock.monotonic())
  }

  /** @throws IntermixError REDIS_UNAVAILABLE where a limit is to be closed while Redis is away. */
  charge(charges: readonly LimitCharge[], options: ChargeOptions): LimitOutcome[] {
    const before = this.remembered(charges, options)
    if (before !== undefined) return before
    const outcomes = this.#charge(charges, options)
    const memory = memoryKey(charges, options.id ?? '')
    if (memory !== '') this.#outcomes.set(memory, outcomes, this.#options.clock.monotonic())
    return outcomes
  }

  /** Redis has charged for a call that was answered here. */
  charged({ mode, id = '' }: ChargeOptions, charge: WindowCharge, outcome: WindowOutcome): void {
    const amount = mode === 'count' && outcome.isExceeded ? charge.amount : outcome.granted
    if (amount !== 0) this.#owe(charge, { amount: -amount, window: outcome.window, place: id })
  }

  #charge(charges: readonly LimitCharge[], options: ChargeOptions): LimitOutcome[] {
    const closed = charges.find(({ away, amount }) => away === 'closed' && amount !== 0)
    // Says nothing of the handler's other limits, which have answers: its breaker must not open for it.
    if (closed !== undefined) throw new IntermixError('REDIS_UNAVAILABLE', CLOSED, { backend: 'unasked' })
    const shared = charges.filter(({ away }) => away !== 'open')
    for (const charge of charges) if (charge.amount !== 0) this.#begin(charge)
    const found = this.#memory.charge(
      shared.map((charge) => ({ ...charge, rule: this.#shareOf(charge.rule) })),
      options,
    )
    const outcomes = new Map(shared.map((charge, index) => [charge, found[index] as WindowOutcome]))
    const isRefused = options.mode === 'all' && found.some(({ isExceeded }) => isExceeded)
    return charges.map((charge) => {
      const outcome = outcomes.get(charge) ?? this.#unlimited(charge, isRefused)
      const { granted: amount, window } = outcome
      if (amount !== 0) this.#owe(charge, { amount, window, place: options.id ?? '' })
      return outcome
    })
  }

  /** Gives back places that were taken while Redis was away. */
  leave(places: readonly PlaceLeft[]): number {
    for (const { key, id } of places) this.#debts.get(key)?.leave(id)
    return this.#memory.leave(places)
  }

  /** What is owed, and from now on by who asks: the node begins anew with what Redis says next. */
  take(): readonly Debt[] {
    const now = this.#options.clock.now()
    const debts = [...this.#debts.values()].flatMap((each) => each.debts(now))
    for (const key of this.#debts.keys()) this.#memory.forget(key)
    this.#debts.clear()
    return debts
  }

  /** What others had used of the limit before Redis went away is not there to be shared out again. */
  #begin(charge: LimitCharge): CounterDebts | undefined {
    const { key } = charge
    const known = this.#debts.get(key)
    if (known !== undefined || this.#debts.size >= MAX_DEBTS) return known
    const share = this.#shareOf(charge.rule)
    const isHeld = share.algorithm === 'concurrency'
    const { usedShare, unpaid } = this.#options
    const used = isHeld ? 0 : Math.max(0, Math.round(usedShare(key) * mostOf(share)) + unpaid(key))
    if (used > 0) this.#memory.charge([{ ...charge, rule: share, amount: used }], { mode: 'count' })
    // A bucket refills by the node's part; an open one is filled by more than that.
    const own = 'burst' in charge.rule ? { ...share, burst: charge.rule.burst } : share
    const debts = new CounterDebts(charge, { share: own, used, now: this.#options.clock.now() })
    this.#debts.set(key, debts)
    return debts
  }

  #owe(charge: WindowCharge, change: { amount: number; window: number; place: string }): void {
    this.#begin(charge)?.add(charge, change, this.#options.clock.now())
  }

  #unlimited({ amount, rule }: LimitCharge, isRefused: boolean): WindowOutcome {
    const now = this.#options.clock.now()
    const { window } = new Counter().count(rule, now)
    const resetMs = countsForMs(rule, now)
    return { granted: isRefused ? 0 : amount, isExceeded: false, left: rule.amount, resetMs, retryAfterMs: 0, window }
  }

  /** At least one: a limit below the number of nodes would be none at all. */
  #shareOf(rule: LimitRule): LimitRule {
    const nodes = Math.max(1, this.#options.liveNodes())
    const part = (amount: number) => (amount === 0 ? 0 : Math.max(1, Math.floor(amount / nodes)))
    return 'burst' in rule
      ? { ...rule, amount: part(rule.amount), burst: part(rule.burst) }
      : { ...rule, amount: part(rule.amount) }
  }
}
