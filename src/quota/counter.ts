// A counter in memory, of whatever way of counting.

import type { LimitRule } from '../adapter-kit/limits.ts'
import type { Count } from './algorithms/algorithm.ts'
import { algorithmOf, type CountingRule } from './algorithms/index.ts'
import { concurrency, type InFlight } from './algorithms/held.ts'

/** What is charged, as far as a counter is concerned. */
export interface Amount {
  readonly amount: number
  /** Names what is in flight. */
  readonly id: string
  /** To which it belongs: of what is given back, or charged afterwards. 0 for that of now. */
  readonly window: number
}

/** A counter under a rule that may be another one at each call: what was charged under the one before counts on. */
export class Counter {
  #state: unknown
  #algorithm: LimitRule['algorithm'] | undefined

  count(rule: LimitRule, now: number): Count {
    if (rule.algorithm === 'concurrency') return concurrency.count(this.#places(rule, now), rule, now)
    return algorithmOf(rule).count(this.#at(rule, now), rule, now)
  }

  /** Whether what has this name is in flight: then its place is taken already. */
  holds(rule: LimitRule, id: string, now: number): boolean {
    return rule.algorithm === 'concurrency' && this.#places(rule, now).has(id)
  }

  charge(rule: LimitRule, { amount, id, window }: Amount, now: number): void {
    if (rule.algorithm === 'concurrency') {
      const places = this.#places(rule, now)
      this.#state = amount > 0 ? concurrency.enter(places, rule, id, now) : concurrency.leave(places, id)
    } else {
      this.#state = algorithmOf(rule).charge(this.#at(rule, now), rule, amount, window, now)
    }
    this.#algorithm = rule.algorithm
  }

  /** Gives a place in flight back. @returns whether it was there */
  leave(id: string, now: number): boolean {
    if (this.#algorithm !== 'concurrency') return false
    const places = this.#state as InFlight
    this.#state = concurrency.leave(places, id)
    return (places.get(id) ?? 0) > now
  }

  #places(rule: Extract<LimitRule, { readonly algorithm: 'concurrency' }>, now: number): InFlight {
    return concurrency.at(this.#known(rule) as InFlight | undefined, rule, now)
  }

  #at(rule: CountingRule, now: number): unknown {
    return algorithmOf(rule).at(this.#known(rule), rule, now)
  }

  #known(rule: LimitRule): unknown {
    return this.#algorithm === rule.algorithm ? this.#state : undefined
  }
}
