// Grants quotas that callers name from pools of what nodes granted ahead of need, so that most demands ask nobody. Requests
// share a pool that nodes would charge to the same counters (pool-index.ts says how that is known).

import type { Clock, Random } from '../../kernel/ports.ts'
import type { QuotaDemand } from '../../kernel/services.ts'
import { OK_STATUS } from '../../kernel/status.ts'
import type { NodeGrant, Nodes } from '../nodes/nodes.ts'
import { askForGrants, grantAfter } from './asked-grants.ts'
import { DecidedQuotas, type Decisions, type Grants } from './decided-quotas.ts'
import { PoolIndex } from './pool-index.ts'
import { DEFAULT_PREFETCH, type PrefetchOptions } from './prefetch-options.ts'
import { QuotaLeases } from './quota-leases.ts'
import {
  type Charge,
  isFailure,
  type Kept,
  type Pool,
  type QuotaCall,
  refusalOf,
  retryOf,
  USED_UP,
} from './quota-pool.ts'
import type { QuotaPoolMetrics } from './quota-pool-metrics.ts'
import { QuotaPrefetch } from './quota-prefetch.ts'

export type { Grants, QuotaCall }

export interface QuotaPoolsOptions {
  readonly nodes: Pick<Nodes, 'ask'>
  readonly clock: Pick<Clock, 'monotonic'>
  readonly random: Random
  readonly metrics: QuotaPoolMetrics
  /** 10,000 unless given. */
  readonly maxPools?: number
  /** Of all pools with what they are found by; 16 MiB unless given. */
  readonly maxBytes?: number
  /** After which time without use a pool goes, in ms; ten minutes unless given. */
  readonly idleMs?: number
  /** `DEFAULT_PREFETCH` unless given. */
  readonly prefetch?: PrefetchOptions
}

const MAX_POOLS = 10_000
const MAX_BYTES = 16 * 1024 * 1024
/** As Mixer's clients have it. */
const IDLE_MS = 600_000
const NONE: Grants = new Map()

export class QuotaPools {
  readonly #options: QuotaPoolsOptions
  readonly #pools: PoolIndex<Pool>
  readonly #leases: QuotaLeases
  readonly #decided = new DecidedQuotas()

  constructor(options: QuotaPoolsOptions) {
    this.#options = options
    const { maxPools = MAX_POOLS, maxBytes = MAX_BYTES, idleMs = IDLE_MS, prefetch = DEFAULT_PREFETCH } = options
    const make = (now: number) => ({ amounts: new QuotaPrefetch(prefetch, options.random, now), refusal: USED_UP })
    this.#pools = new PoolIndex({ maxPools, maxBytes, idleMs, make })
    this.#leases = new QuotaLeases({ ...options, timeoutMs: prefetch.leaseTimeoutMs }, this.#pools)
  }

  get size(): number {
    return this.#pools.size
  }

  /** What the pools take of memory, roughly. */
  get bytes(): number {
    return this.#pools.bytes
  }

  /**
   * Charges quotas of a request that is known to be allowed; a plain value where nobody has to be asked. Rejects, with the
   * node's failure, where a node had to be asked and gave no answer.
   */
  charge(call: QuotaCall, now: number): Grants | Promise<Grants> {
    const known = this.#decided.get(call.deduplicationId, now)
    if (known instanceof Promise) return known.then((decisions) => this.#chargeOthers(call, decisions, now))
    if (known !== undefined) return this.#chargeOthers(call, known, now)
    const grants = this.#charge(call, now)
    this.#remember(call, grants, now)
    return grants
  }

  /**
   * What was granted to a request before under its deduplication id, by the names of the quotas, when that is decided. Who asks a
   * node whether it is allowed asks it for the other ones alone.
   */
  async decided(call: Pick<QuotaCall, 'seen' | 'deduplicationId'>, now: number): Promise<Grants> {
    const decisions = await this.#decided.settled(call.deduplicationId, now)
    return decisions === undefined ? NONE : this.#repeated(call, decisions)
  }

  /** Takes in what a node granted of a call's demands along with a check, asked for as they are; as it is now. */
  learn(call: QuotaCall, grants: Grants): void {
    const now = this.#options.clock.monotonic()
    this.#remember(call, grants, now)
    this.#learn(call, grants, now)
  }

  #remember(call: QuotaCall, grants: Grants | Promise<Grants>, now: number): void {
    const { seen, deduplicationId } = call
    if (deduplicationId === undefined || deduplicationId === '') return
    const decisionsOf = (all: Grants): Decisions => {
      const at = this.#options.clock.monotonic()
      const decision = (grant: NodeGrant) => ({ grant, at, chargedTo: this.#pools.chargedTo(grant.shape, seen) })
      return new Map(Array.from(all, ([name, grant]) => [name, decision(grant)]))
    }
    const decisions = grants instanceof Promise ? grants.then(decisionsOf) : decisionsOf(grants)
    this.#decided.set(deduplicationId, decisions, now)
  }

  /** Those that are of the same request, as far as counters know it, with what is left of their life. */
  #repeated({ seen }: Pick<QuotaCall, 'seen'>, decisions: Decisions): Grants {
    const now = this.#options.clock.monotonic()
    const grants = new Map<string, NodeGrant>()
    for (const [name, { grant, at, chargedTo }] of decisions)
      if (this.#pools.chargedTo(grant.shape, seen) === chargedTo) grants.set(name, grantAfter(grant, now - at))
    return grants
  }

  #learn(call: QuotaCall, grants: Grants, now: number): void {
    for (const [name, demand] of call.demands) {
      const grant = grants.get(name)
      if (grant !== undefined && demand.amount > 0) this.#learnOne({ call, name, demand }, grant, now)
    }
  }

  #learnOne({ call, name, demand }: Charge, grant: NodeGrant, now: number): void {
    const { shape, granted, validForMs } = grant
    if (isFailure(grant) || shape === undefined) return
    // What is valid for no time is not used up by time: nothing of it can be held.
    const kept =
      validForMs > 0
        ? this.#pools.file(name, shape, call.seen, now)
        : this.#pools.find(call.config, name, call.seen, now)
    if (kept === undefined) return
    const { amount, bestEffort } = demand
    kept.pool.amounts.note(amount, now)
    if (granted >= amount) return
    kept.pool.refusal = refusalOf(grant)
    kept.pool.amounts.close({ refusedFrom: bestEffort ? 1 : amount, ...retryOf(grant) }, now)
  }

  /** The same call again names what it named before, or more. */
  #chargeOthers(call: QuotaCall, decisions: Decisions, now: number): Grants | Promise<Grants> {
    const known = this.#repeated(call, decisions)
    const demands = new Map([...call.demands].filter(([name]) => !known.has(name)))
    this.#options.metrics.quotas.repeated.add(call.demands.size - demands.size)
    if (demands.size === 0) return known
    const both = (grants: Grants): Grants => new Map([...known, ...grants])
    const grants = this.#charge({ ...call, demands }, now)
    const all = grants instanceof Promise ? grants.then(both) : both(grants)
    this.#remember(call, all, now)
    return all
  }

  #charge(call: QuotaCall, now: number): Grants | Promise<Grants> {
    const grants = new Map<string, NodeGrant>()
    const asked: Promise<void>[] = []
    const direct = new Map<string, QuotaDemand>()
    for (const [name, demand] of call.demands) {
      // What is given back has to reach a node.
      const kept = demand.amount > 0 ? this.#pools.find(call.config, name, call.seen, now) : undefined
      const grant = kept === undefined ? undefined : this.#fromPool({ call, name, demand }, kept, now)
      if (grant === undefined) direct.set(name, demand)
      else if (grant instanceof Promise) asked.push(grant.then((told) => void grants.set(name, told)))
      else grants.set(name, grant)
    }
    if (direct.size > 0) asked.push(this.#direct({ ...call, demands: direct }, grants))
    return asked.length === 0 ? grants : Promise.all(asked).then(() => grants)
  }

  /** @returns `undefined` where a node is to be asked for this demand alone */
  #fromPool(charge: Charge, kept: Kept, now: number): NodeGrant | Promise<NodeGrant> | undefined {
    const { quotas } = this.#options.metrics
    const { amount, bestEffort } = charge.demand
    const { amounts } = kept.pool
    const least = bestEffort ? 1 : amount
    const lease = amounts.refill(amount, now, least)
    const validForMs = amounts.lifeMs(now)
    const shape = kept.told
    if (amounts.spend(amount, now)) {
      amounts.note(amount, now)
      if (lease !== undefined) this.#leases.renew(charge, lease, kept)
      quotas.granted.add()
      return { status: OK_STATUS, granted: amount, validForMs, shape }
    }
    if (lease !== undefined) {
      amounts.note(amount, now)
      quotas.asked.add()
      return this.#leases.grant(charge, lease, kept)
    }
    if (!amounts.refuses(least, now)) return undefined
    amounts.note(amount, now)
    const part = bestEffort ? amounts.spendMost(amount, now) : 0
    quotas[part > 0 ? 'granted' : 'refused'].add()
    if (part > 0) return { status: OK_STATUS, granted: part, validForMs, shape }
    return { status: kept.pool.refusal, granted: 0, validForMs: 0, shape }
  }

  async #direct(call: QuotaCall, into: Map<string, NodeGrant>): Promise<void> {
    const { bag, affinity, tenant, timeoutMs, demands, deduplicationId } = call
    const { metrics, clock } = this.#options
    metrics.quotas.asked.add(demands.size)
    const question = { bag, affinity, tenant, timeoutMs, quotas: demands }
    const grants = await askForGrants(
      this.#options,
      deduplicationId === undefined ? question : { ...question, deduplicationId },
    )
    this.#learn(call, grants, clock.monotonic())
    for (const [name, grant] of grants) into.set(name, grant)
  }
}
