// Gives back to Redis what a node holds of limits and nobody wanted in its time.

import type { LimitCharge } from '../adapter-kit/limits.ts'
import type { Clock } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import type { WindowOutcome } from './charge.ts'
import type { Held, Lease } from './lease.ts'
import type { QuotaMetrics } from './quota-metrics.ts'
import type { RedisLimits } from './redis-limits.ts'

/** How often it looks. */
const SWEEP_MS = 250
/** Counters of which that is given back: callers choose how many there are, and Redis has others to answer. */
const MOST_IN_SWEEP = 1_000
/** Of further ones what is held is not given back: it counts as used. */
const MOST_WATCHED = 10_000

const NOTHING: WindowOutcome = { granted: 0, isExceeded: false, left: 0, resetMs: 0, retryAfterMs: 0, window: 0 }

export interface UnusedLeasesOptions {
  readonly shared: Pick<RedisLimits, 'charge'>
  readonly link: Pick<RedisLink, 'state'>
  readonly clock: Clock
  readonly metrics: QuotaMetrics
  /** Hears of what Redis could not be given back. */
  readonly onKept: (charge: LimitCharge, outcome: WindowOutcome) => void
}

export class UnusedLeases {
  readonly #options: UnusedLeasesOptions
  /** The counters of which something is held. */
  readonly #watched = new Map<string, { readonly charge: LimitCharge; readonly lease: Lease }>()
  #cancelSweep: (() => void) | undefined

  constructor(options: UnusedLeasesOptions) {
    this.#options = options
  }

  /** Something is held now of this counter. */
  watch(charge: LimitCharge, lease: Lease): void {
    if (this.#watched.size < MOST_WATCHED || this.#watched.has(charge.key))
      this.#watched.set(charge.key, { charge, lease })
    this.#cancelSweep ??= this.#options.clock.after(SWEEP_MS, () => this.#sweep())
  }

  /** Returns at once. */
  giveBack(charge: LimitCharge, lease: Lease, held: Held): void {
    void this.#giveBack(charge, lease, held).catch(() => undefined)
  }

  /** Gives back everything. */
  async close(): Promise<void> {
    this.#cancelSweep?.()
    const all = [...this.#watched.values()]
    this.#watched.clear()
    await Promise.allSettled(all.map(({ charge, lease }) => this.#giveBack(charge, lease, lease.drain())))
  }

  #sweep(): void {
    const { clock } = this.#options
    const now = clock.monotonic()
    this.#cancelSweep = undefined
    let count = 0
    for (const [key, { charge, lease }] of this.#watched) {
      if (lease.held(now) > 0) continue
      if (++count > MOST_IN_SWEEP) break
      this.#watched.delete(key)
      this.giveBack(charge, lease, lease.expired(now))
    }
    if (this.#watched.size > 0) this.#cancelSweep = clock.after(SWEEP_MS, () => this.#sweep())
  }

  async #giveBack(charge: LimitCharge, lease: Lease, held: Held): Promise<void> {
    const { shared, metrics, link, clock, onKept } = this.#options
    const askedAt = clock.monotonic()
    const amount = lease.returnable(charge, held, askedAt)
    if (amount === 0 && (!lease.isUnjudged(charge.rule) || link.state() === 'down')) return
    metrics.called('back')
    const back = { ...charge, amount: amount === 0 ? 0 : -amount, window: held.window }
    const [outcome] = await shared.charge([back], { mode: 'each' }).catch((error: unknown) => {
      if (amount > 0) onKept(charge, { ...NOTHING, granted: amount, window: held.window })
      throw error
    })
    if (outcome === undefined) return
    metrics.overshotHeld(lease.heard(charge, outcome, -amount, askedAt, clock.monotonic()))
  }
}
