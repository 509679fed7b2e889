// Limits of one process: what there is without Redis, and what each node goes on with while Redis is away.

import type { ChargeOptions, CounterChoice, LimitCharge, LimitRule, Limits, PlaceLeft } from '../adapter-kit/limits.ts'
import { BoundedCounters } from '../kernel/bounded-counters.ts'
import { IntermixError } from '../kernel/errors.ts'
import { Generations } from '../kernel/generations.ts'
import type { Clock } from '../kernel/ports.ts'
import { countsForMs } from './algorithms/index.ts'
import { assertCharges, mergeCharges, settle, type WindowCharge, type WindowOutcome } from './charge.ts'
import { Counter } from './counter.ts'
import { giveBackUnused } from './unused-charges.ts'

/** How long the outcome of an id is remembered, everywhere. */
export const REMEMBER_MS = 60_000
/** Outcomes that are remembered, in each of two generations. */
export const MOST_REMEMBERED = 100_000
const MOST_COUNTERS = 100_000

/** A counter, and the rule under which it was charged last. */
interface Counted {
  readonly counter: Counter
  readonly rule: LimitRule
}

export interface MemoryLimitsOptions {
  readonly clock: Clock
  /** Counters in use at one time; further keys are refused. */
  readonly maxCounters?: number
}

export class MemoryLimits implements Limits {
  readonly #clock: Clock
  readonly #counters: BoundedCounters<Counted>
  readonly #outcomes = new Generations<WindowOutcome[]>(REMEMBER_MS, MOST_REMEMBERED)

  constructor({ clock, maxCounters = MOST_COUNTERS }: MemoryLimitsOptions) {
    this.#clock = clock
    this.#counters = new BoundedCounters(
      maxCounters,
      ({ counter, rule }, now) => counter.count(rule, now).resetMs === 0,
    )
  }

  /** Counters to which something counts. */
  get size(): number {
    return this.#counters.size
  }

  /** @throws IntermixError INVALID_REQUEST for senseless charges, OVERLOADED where a new counter has no place and no other one refuses. */
  charge(charges: readonly WindowCharge[], { mode, id = '' }: ChargeOptions): WindowOutcome[] {
    const memory = memoryKey(charges, id)
    const before = memory === '' ? undefined : this.#outcomes.get(memory, this.#clock.monotonic())
    if (before !== undefined) return before
    const { merged, share } = mergeCharges(charges)
    const outcomes = share(this.#settle(merged, mode, id))
    if (memory !== '') this.#outcomes.set(memory, outcomes, this.#clock.monotonic())
    return outcomes
  }

  giveBack(charges: readonly LimitCharge[]): Promise<void> {
    return giveBackUnused(charges, (each) => this.charge(each, { mode: 'each' }))
  }

  leave(places: readonly PlaceLeft[]): number {
    const now = this.#clock.now()
    let left = 0
    for (const { key, id } of places) {
      const known = this.#counters.get(key)
      if (known?.counter.leave(id, now) !== true) continue
      left++
      this.#counters.changed(key, countsForMs(known.rule, 0), known, now)
    }
    return left
  }

  /** A counter becomes one to which nothing was charged. */
  forget(key: string): void {
    this.#counters.drop(key)
  }

  /** Nothing is held: all is counted here. */
  held(): number {
    return 0
  }

  letGo(choice: CounterChoice): number {
    return this.#counters.forget(meantBy(choice))
  }

  #settle(charges: readonly WindowCharge[], mode: ChargeOptions['mode'], id: string): WindowOutcome[] {
    assertCharges(charges, id)
    const now = this.#clock.now()
    const counters = charges.map(({ key }) => this.#counterOf(key, now))
    if (!counters.every(isThere)) return this.#settlePlaced(charges, counters, mode, id)
    const outcomes = settle(charges, counters, { mode, id, now })
    for (const [index, { key, rule }] of charges.entries()) {
      const counter = counters[index]
      if (counter !== undefined) this.#counters.changed(key, countsForMs(rule, 0), { counter, rule }, now)
    }
    return outcomes
  }

  /** Callers choose keys: who fills all counters with them must not get around the limits that have theirs. */
  #settlePlaced(
    charges: readonly WindowCharge[],
    counters: readonly (Counter | undefined)[],
    mode: ChargeOptions['mode'],
    id: string,
  ): WindowOutcome[] {
    const placed = mode === 'each' || mode === 'count' ? charges.filter((_, index) => isThere(counters[index])) : []
    const settled = placed.length === 0 ? [] : this.#settle(placed, mode, id)
    if (!settled.some(({ isExceeded }) => isExceeded))
      throw new IntermixError('OVERLOADED', 'all counters of this process are in use')
    let next = 0
    return counters.map((counter) => (isThere(counter) ? (settled[next++] as WindowOutcome) : NO_ROOM))
  }

  #counterOf(key: string, now: number): Counter | undefined {
    return this.#counters.get(key)?.counter ?? (this.#counters.hasRoom(now) ? new Counter() : undefined)
  }
}

/** Of a charge without a counter, beside one that is refused. */
const NO_ROOM: WindowOutcome = { granted: 0, isExceeded: true, left: 0, resetMs: 0, retryAfterMs: 0, window: 0 }

function isThere(counter: Counter | undefined): counter is Counter {
  return counter !== undefined
}

/** Whether a counter, by its key, is one of those. */
export function meantBy(choice: CounterChoice): (key: string) => boolean {
  if ('startingWith' in choice) return (key) => key.startsWith(choice.startingWith)
  const keys = new Set(choice.counters.map(({ key }) => key))
  return (key) => keys.has(key)
}

/**
 * What the outcome of charges is remembered under: the id and what is charged; empty where it is not. What is in flight is
 * known by its id anyway.
 */
export function memoryKey(charges: readonly LimitCharge[], id: string): string {
  if (id === '' || charges.some(({ rule }) => rule.algorithm === 'concurrency')) return ''
  return `${id.length} ${id} ${charges.map(({ key, amount }) => `${key}=${amount}`).join(' ')}`
}
