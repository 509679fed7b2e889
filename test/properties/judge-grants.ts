// Holds what sidecars grant of named quotas against what nodes have granted to them: of a pool no more than was leased, and for no
// longer than the lease may be used.

import { DEFAULT_PREFETCH } from '../../src/client/quotas/prefetch-options.ts'
import type { QuotaGrant } from '../../src/kernel/services.ts'
import { Accounts, type Window } from './accounts.ts'
import type { Demand } from './oracle/quota.ts'

/** What a node has granted to a sidecar. */
export interface Lot {
  readonly asked: number
  readonly granted: number
  readonly arrivedAt: number
  /** In whole milliseconds from when it arrived. */
  readonly leftMs: number
  /** Whether it is known who else may have it. */
  readonly isShared: boolean
  readonly window: Window
}

/** Of a quota of which nobody limits how much. */
export const UNLIMITED: Window = { window: 0, windowMs: Number.MAX_SAFE_INTEGER }

const { maxLifeMs, closedMs, jitter, leaseTimeoutMs } = DEFAULT_PREFETCH
/** For how long after a grant of less than was wanted others may be refused: a moment, and while it is asked for again. */
const REFUSED_MS = closedMs * (1 + jitter) + leaseTimeoutMs
/** Nothing that nodes grant lives longer here. */
const LIFE_MS = 60_000

export class LeasedGrants {
  /** By sidecar and counter. */
  readonly #lots = new Map<string, readonly Lot[]>()
  readonly #accounts = new Accounts()

  told(name: string, lot: Lot): void {
    const former = this.#of(name).filter(({ arrivedAt }) => lot.arrivedAt < arrivedAt + LIFE_MS)
    this.#lots.set(name, [...former, lot])
    this.#accounts.buy(name, lot.granted, lot.window)
  }

  /** Says what is wrong with a grant; `undefined` where nothing is. */
  problem(
    name: string,
    { demand, at }: { readonly demand: Demand; readonly at: number },
    { status, granted, validForMs }: QuotaGrant,
  ): string | undefined {
    const lots = this.#of(name)
    const isPart = granted < demand.amount
    if (granted > demand.amount || (isPart && granted > 0 && !demand.bestEffort)) return `${granted} are granted`
    if ((status.code === 0) !== granted > 0) return `${granted} are granted, with status ${status.code}`
    if (isPart && !lots.some((lot) => lot.granted < lot.asked && at <= lot.arrivedAt + REFUSED_MS))
      return 'it is refused, and no node has refused it'
    const lives = lots.map(({ arrivedAt, leftMs }) => Math.floor(arrivedAt + Math.min(leftMs, maxLifeMs) - at))
    const isLast = lots.some(
      ({ arrivedAt, leftMs, isShared }) => arrivedAt === at && validForMs === (isShared ? leftMs : 0),
    )
    if (!isLast && !lives.includes(validForMs) && !(granted === 0 && validForMs === 0))
      return `it is valid for ${validForMs} ms, and what nodes have granted for ${lives.join(', ')} ms`
    return undefined
  }

  /** Whether nothing has just come for the request that is granted something. */
  isLeased(name: string, at: number): boolean {
    return !this.#of(name).some(({ arrivedAt }) => arrivedAt === at)
  }

  /** @returns what is wrong; `undefined` where so much was leased */
  use(name: string, granted: number, at: number): string | undefined {
    // What has just come was for this very request, which was counted when it was charged.
    const own = this.#of(name).findLast(({ arrivedAt }) => arrivedAt === at)
    const given = Math.min(granted, own?.granted ?? 0)
    const chargedAt = own?.window && own.window.window * own.window.windowMs
    return this.#accounts.use(name, given, chargedAt) ?? this.#accounts.use(name, granted - given, at)
  }

  #of(name: string): readonly Lot[] {
    return this.#lots.get(name) ?? []
  }
}
