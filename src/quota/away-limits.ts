// What a node goes on with while Redis is away: its share of each limit, which is charged to Redis afterwards.

import type { ChargeOptions, LimitCharge, LimitOutcome, LimitRule, PlaceLeft } from '../adapter-kit/limits.ts'
import { IntermixError } from '../kernel/errors.ts'
import { Generations } from '../kernel/generations.ts'
import type { Clock } from '../kernel/ports.ts'
import { countsForMs } from './algorithms/index.ts'
import { MemoryLimits, memoryKey, MOST_REMEMBERED, REMEMBER_MS } from './memory-limits.ts'

/** Counters that are remembered to be charged afterwards; of further ones nobody will know. */
const MAX_DEBTS = 10_000

/** What was granted of a counter while Redis was away. */
export interface Debt {
  readonly charge: LimitCharge
  readonly amount: number
  /** On the monotonic clock: then nothing of it counts any more. */
  readonly until: number
}

export interface AwayLimitsOptions {
  readonly clock: Clock
  /** How many nodes there are, this one included, as far as it is known. */
  readonly liveNodes: () => number
  /** What share (0 to 1) of a limit had been used when it was heard of last; 0 where nothing is known. */
  readonly usedShare: (key: string) => number
}

export class AwayLimits {
  readonly #options: AwayLimitsOptions
  readonly #memory: MemoryLimits
  /** What is owed for a call is owed once, however often that is made. */
  readonly #outcomes = new Generations<LimitOutcome[]>(REMEMBER_MS, MOST_REMEMBERED)
  readonly #debts = new Map<string, Debt>()

  constructor(options: AwayLimitsOptions) {
    this.#options = options
    this.#memory = new MemoryLimits({ clock: options.clock })
  }

  /** @throws IntermixError REDIS_UNAVAILABLE where a limit is to be closed while Redis is away. */
  charge(charges: readonly LimitCharge[], options: ChargeOptions): LimitOutcome[] {
    const now = this.#options.clock.monotonic()
    const memory = memoryKey(charges, options.id ?? '')
    const before = memory === '' ? undefined : this.#outcomes.get(memory, now)
    if (before !== undefined) return before
    const outcomes = this.#charge(charges, options)
    if (memory !== '') this.#outcomes.set(memory, outcomes, now)
    return outcomes
  }

  #charge(charges: readonly LimitCharge[], options: ChargeOptions): LimitOutcome[] {
    const closed = charges.find(({ away, amount }) => away === 'closed' && amount !== 0)
    if (closed !== undefined) throw new IntermixError('REDIS_UNAVAILABLE', 'Redis, which counts this limit, is away')
    const shared = charges.filter(({ away }) => away !== 'open')
    for (const charge of shared) this.#begin(charge)
    const found = this.#memory.charge(
      shared.map((charge) => ({ ...charge, rule: this.#shareOf(charge.rule) })),
      options,
    )
    const outcomes = new Map(shared.map((charge, index) => [charge, found[index] as LimitOutcome]))
    const isRefused = options.mode === 'all' && found.some(({ isExceeded }) => isExceeded)
    return charges.map((charge) => {
      const outcome = outcomes.get(charge) ?? this.#unlimited(charge, isRefused)
      this.#owe(charge, outcome)
      return outcome
    })
  }

  /** Gives back places that were taken while Redis was away. */
  leave(places: readonly PlaceLeft[]): number {
    return this.#memory.leave(places)
  }

  /** What was granted since, to be charged to Redis; it is asked once. */
  settle(): readonly Debt[] {
    const now = this.#options.clock.monotonic()
    const debts = [...this.#debts.values()].filter(({ amount, until }) => amount !== 0 && until > now)
    this.#debts.clear()
    return debts
  }

  /** What others had used of the limit before Redis went away is not there to be shared out again. */
  #begin(charge: LimitCharge): void {
    if (this.#debts.has(charge.key) || charge.rule.algorithm === 'concurrency') return
    const rule = this.#shareOf(charge.rule)
    const used = Math.round(this.#options.usedShare(charge.key) * ('burst' in rule ? rule.burst : rule.amount))
    if (used > 0) this.#memory.charge([{ ...charge, rule, amount: used }], { mode: 'count' })
    this.#note({ charge, amount: 0, until: 0 })
  }

  #owe(charge: LimitCharge, { granted, resetMs }: LimitOutcome): void {
    if (granted === 0 || charge.rule.algorithm === 'concurrency') return
    const amount = (this.#debts.get(charge.key)?.amount ?? 0) + granted
    this.#note({ charge, amount, until: this.#options.clock.monotonic() + resetMs })
  }

  #unlimited({ amount, rule }: LimitCharge, isRefused: boolean): LimitOutcome {
    const resetMs = countsForMs(rule, this.#options.clock.now())
    return { granted: isRefused ? 0 : amount, isExceeded: false, left: rule.amount, resetMs, retryAfterMs: 0 }
  }

  #note(debt: Debt): void {
    const { key } = debt.charge
    if (this.#debts.size < MAX_DEBTS || this.#debts.has(key)) this.#debts.set(key, debt)
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
