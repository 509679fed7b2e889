// Asks nodes for what pools want to hold, and fills the pools.

import type { Clock } from '../../kernel/ports.ts'
import { OK_STATUS } from '../../kernel/status.ts'
import type { NodeGrant, Nodes } from '../nodes/nodes.ts'
import { askForGrants, NOT_GRANTED } from './asked-grants.ts'
import type { PoolIndex } from './pool-index.ts'
import { type Charge, isFailure, type Kept, type Pool, refusalOf, retryOf } from './quota-pool.ts'
import type { QuotaPoolMetrics } from './quota-pool-metrics.ts'
import type { Lease } from './quota-prefetch.ts'

export interface QuotaLeasesOptions {
  readonly nodes: Pick<Nodes, 'ask'>
  readonly clock: Pick<Clock, 'monotonic'>
  readonly metrics: QuotaPoolMetrics
  /** How long is waited for what nobody waits for, in ms. */
  readonly timeoutMs: number
}

export class QuotaLeases {
  readonly #options: QuotaLeasesOptions
  readonly #pools: PoolIndex<Pool>

  constructor(options: QuotaLeasesOptions, pools: PoolIndex<Pool>) {
    this.#options = options
    this.#pools = pools
  }

  /** In the background. The pool hears where it fails; whoever comes when the pool is empty hears it from a node. */
  renew(charge: Charge, lease: Lease, kept: Kept): void {
    this.#ask(charge, lease, kept, { timeoutMs: this.#options.timeoutMs, bestEffort: true }).then(
      (grant) => void this.#fill(charge, lease, kept, grant, 0),
      () => undefined,
    )
  }

  /** For a demand that found the pool empty, and those behind it. Rejects with the node's failure. */
  async grant(charge: Charge, lease: Lease, kept: Kept): Promise<NodeGrant> {
    const { demand, call } = charge
    const bestEffort = demand.bestEffort || lease.amount > demand.amount
    const grant = await this.#ask(charge, lease, kept, { timeoutMs: call.timeoutMs, bestEffort })
    const { granted } = grant
    const own = granted >= demand.amount ? demand.amount : demand.bestEffort ? granted : 0
    const filled = this.#fill(charge, lease, kept, grant, own)
    if (own > 0) return { ...grant, granted: own }
    if (isFailure(grant)) return grant
    // Together with what was left, which ends first.
    const now = this.#options.clock.monotonic()
    const validForMs = filled?.pool.amounts.lifeMs(now) ?? 0
    if (filled?.pool.amounts.spend(demand.amount, now) === true)
      return { ...grant, status: OK_STATUS, granted: demand.amount, validForMs }
    return { ...grant, status: refusalOf(grant), granted: 0, validForMs: 0 }
  }

  async #ask(
    { call, name }: Charge,
    lease: Lease,
    kept: Kept,
    { timeoutMs, bestEffort }: { readonly timeoutMs: number; readonly bestEffort: boolean },
  ): Promise<NodeGrant> {
    const { clock, metrics } = this.#options
    const { bag, affinity, tenant } = call
    const quotas = new Map([[name, { amount: lease.amount, bestEffort }]])
    try {
      const grants = await askForGrants(this.#options, { bag, affinity, tenant, timeoutMs, quotas })
      return grants.get(name) ?? NOT_GRANTED
    } catch (error) {
      metrics.leases.failed.add()
      kept.pool.amounts.failed(lease, clock.monotonic())
      throw error
    }
  }

  /** @param spent what of it is the demand's that waits @returns the pool that has the rest */
  #fill(charge: Charge, lease: Lease, kept: Kept, grant: NodeGrant, spent: number): Kept | undefined {
    const { clock, metrics } = this.#options
    const now = clock.monotonic()
    const { granted, validForMs } = grant
    if (isFailure(grant)) {
      metrics.leases.failed.add()
      kept.pool.amounts.failed(lease, now)
      return undefined
    }
    metrics.leases[granted < lease.amount ? 'short' : 'full'].add()
    const filled = this.#poolOf(charge, lease, kept, grant, now)
    if (filled === undefined) return undefined
    filled.pool.refusal = refusalOf(grant)
    const told = { granted, spent, from: now, validForMs, ...retryOf(grant) }
    const refusedFrom = lease.amount > charge.demand.amount || charge.demand.bestEffort ? 1 : lease.amount
    filled.pool.amounts.granted(lease, { ...told, refusedFrom }, now)
    return filled
  }

  /** The pool of what was granted: the one that asked, unless the node has become of another mind. */
  #poolOf({ call, name }: Charge, lease: Lease, kept: Kept, grant: NodeGrant, now: number): Kept | undefined {
    const { shape, granted, validForMs } = grant
    const isHeld = shape !== undefined && (granted === 0 || validForMs > 0)
    const filed = isHeld ? this.#pools.file(name, shape, call.seen, now) : undefined
    if (filed === kept) {
      kept.told = shape ?? kept.told
      return kept
    }
    kept.pool.amounts.abandon(lease, now)
    // Other nodes may still be at the config under which it was found.
    if (shape === undefined || shape.config === call.config) this.#pools.drop(kept)
    return filed
  }
}
