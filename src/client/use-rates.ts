// How often answers that pay for quotas are wanted, so that as many as the next moment needs are paid for at once.

import { LRUCache } from 'lru-cache'

interface Rate {
  /** Requests a second, as of `at`. */
  perSecond: number
  at: number
}

/** What is paid for lasts about so long: longer means fewer calls, and more that is held by who does not use it. */
const HORIZON_S = 0.1
/** The rate follows what comes within about so long. */
const WINDOW_MS = 1_000
const MAX_KEYS = 10_000
/** At once; nodes have a bound of their own. */
const MAX_USES = 1_000

/** Rates by key, as exponentially weighted averages. */
export class UseRates {
  readonly #rates = new LRUCache<string, Rate>({ max: MAX_KEYS })

  /** Counts a request. @returns how many uses are wanted: those of the next tenth of a second, and this one */
  count(key: string, now: number): number {
    let rate = this.#rates.get(key)
    if (rate === undefined) this.#rates.set(key, (rate = { perSecond: 0, at: now }))
    const passed = Math.max(0, now - rate.at)
    rate.perSecond = rate.perSecond * Math.exp(-passed / WINDOW_MS) + 1_000 / WINDOW_MS
    rate.at = now
    return Math.min(MAX_USES, Math.max(1, Math.ceil(rate.perSecond * HORIZON_S)))
  }
}
