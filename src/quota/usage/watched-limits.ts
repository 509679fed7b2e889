// The limits of one handler, with a look at what they are used for, and a way to forget what was charged.

import type {
  ChargeOptions,
  CounterChoice,
  LimitCharge,
  LimitOutcome,
  Limits,
  PlaceLeft,
} from '../../adapter-kit/limits.ts'
import type { Clock } from '../../kernel/ports.ts'
import { CounterUsage, type SeenCounter } from './counter-usage.ts'

/** What counts, as far as operators are concerned. */
export interface CountedLimits extends Limits {
  /** Amounts of a counter that this process holds ahead of need. */
  held(key: string): number
  /** Lets go of what this process knows of counters. @returns of how many it counts by itself */
  letGo(choice: CounterChoice): number
}

export interface WatchedLimitsOptions {
  readonly limits: CountedLimits
  readonly clock: Clock
  /** Called for each charge, so that somebody may come and look. */
  readonly onUse: () => void
  /** Forgets them where all processes count; `undefined` where each does by itself. */
  readonly resetShared: ((choice: CounterChoice) => Promise<number>) | undefined
}

export class WatchedLimits implements Limits {
  readonly #options: WatchedLimitsOptions
  readonly #usage = new CounterUsage()

  constructor(options: WatchedLimitsOptions) {
    this.#options = options
  }

  charge(charges: readonly LimitCharge[], options: ChargeOptions): LimitOutcome[] | Promise<LimitOutcome[]> {
    const { limits, clock, onUse } = this.#options
    onUse()
    const outcomes = limits.charge(charges, options)
    if (!(outcomes instanceof Promise)) {
      this.#usage.note(charges, outcomes, clock.monotonic())
      return outcomes
    }
    return outcomes.then((done) => {
      this.#usage.note(charges, done, clock.monotonic())
      return done
    })
  }

  async giveBack(charges: readonly LimitCharge[]): Promise<void> {
    await this.#options.limits.giveBack?.(charges)
  }

  leave(places: readonly PlaceLeft[]): number | Promise<number> {
    return this.#options.limits.leave(places)
  }

  async reset(choice: CounterChoice): Promise<number> {
    const { limits, resetShared } = this.#options
    const count = await resetShared?.(choice)
    const own = limits.letGo(choice)
    return count ?? own
  }

  /** How a counter stands now; nothing is charged. */
  async look(counter: Pick<SeenCounter, 'key' | 'group' | 'rule'>): Promise<LimitOutcome | undefined> {
    const [outcome] = await this.#options.limits.charge([{ ...counter, amount: 0 }], { mode: 'each' })
    return outcome
  }

  /** The counters that are used most, refuse most or are nearest to their limits. */
  seen(): SeenCounter[] {
    const { limits, clock } = this.#options
    return this.#usage.seen(clock.monotonic(), (key) => limits.held(key))
  }
}
