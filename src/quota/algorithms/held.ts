// What is held until it is given back: amounts of an allocation, and places in flight.

import type { Algorithm, Count, RuleOf } from './algorithm.ts'

interface Allocated {
  readonly used: number
  /** Milliseconds since the epoch of the last change. */
  readonly at: number
}

export const allocation: Algorithm<RuleOf<'allocation'>, Allocated> = {
  at(state, { expiryMs }, now) {
    return state === undefined || now - state.at >= expiryMs || state.at - now > expiryMs ? { used: 0, at: now } : state
  },
  count: ({ used, at }, { amount, expiryMs }, now): Count => ({
    free: amount - used,
    resetMs: used === 0 ? 0 : at + expiryMs - now,
    window: 0,
    // Somebody may give back at any time, and nobody knows when.
    retryMs: (wanted) =>
      wanted > amount ? Number.POSITIVE_INFINITY : used + wanted <= amount ? 0 : at + expiryMs - now,
  }),
  charge: ({ used }, _rule, amount, _window, now) => ({ used: Math.max(0, used + amount), at: now }),
}

/** By the name of what is in flight: when it is taken for gone. */
export type InFlight = ReadonlyMap<string, number>

/** Places in flight, each by its name: to take one's place again changes only when it ends. */
export const concurrency = {
  at(state: InFlight | undefined, { expiryMs }: RuleOf<'concurrency'>, now: number): InFlight {
    return new Map([...(state ?? [])].filter(([, end]) => end > now && end <= now + 2 * expiryMs))
  },
  count(places: InFlight, { amount }: RuleOf<'concurrency'>, now: number): Count {
    return {
      free: amount - places.size,
      resetMs: places.size === 0 ? 0 : Math.max(...places.values()) - now,
      window: 0,
      retryMs: (wanted) => {
        if (wanted > amount) return Number.POSITIVE_INFINITY
        return places.size + wanted <= amount ? 0 : Math.min(...places.values()) - now
      },
    }
  },
  enter(places: InFlight, { expiryMs }: RuleOf<'concurrency'>, id: string, now: number): InFlight {
    const others = new Map(places)
    others.delete(id)
    return others.set(id, now + expiryMs)
  },
  leave(places: InFlight, id: string): InFlight {
    const others = new Map(places)
    others.delete(id)
    return others
  },
}
