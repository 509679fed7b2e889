// Quotas that callers name: from pools where that can be, along with a check where a node is asked for that anyway, else from
// a node.

import type { Clock, Meter, Random } from '../kernel/ports.ts'
import type { ReferencedAttribute } from '../kernel/read-log.ts'
import type { CheckOptions, QuotaDemand, QuotaGrant, QuotaOptions } from '../kernel/services.ts'
import { grantsAsSent } from '../wire/as-sent.ts'
import { NormalRequestBag } from '../wire/normal-request-bag.ts'
import type { Nodes } from './nodes/nodes.ts'
import { askForGrants, grantsAfter } from './quotas/asked-grants.ts'
import { createQuotaPoolMetrics } from './quotas/quota-pool-metrics.ts'
import { type Grants, type QuotaCall, QuotaPools } from './quotas/quota-pools.ts'
import type { SeenRequest } from './seen-request.ts'
import { referencedBy } from './told-reads.ts'

export interface NamedQuotasOptions {
  readonly nodes: Pick<Nodes, 'ask'>
  readonly clock: Pick<Clock, 'monotonic'>
  readonly random: Random
  readonly meter: Meter
}

type Demands = ReadonlyMap<string, QuotaDemand>

/** What a check has to ask a node for, and what was decided before. */
export interface ToAsk {
  readonly quotas: Demands
  readonly known: Grants
}

const NONE: Grants = new Map()
const NO_REFERENCES: readonly ReferencedAttribute[] = []

export class NamedQuotas {
  readonly #options: NamedQuotasOptions
  readonly #pools: QuotaPools

  constructor(options: NamedQuotasOptions) {
    const { nodes, clock, random, meter } = options
    this.#options = options
    this.#pools = new QuotaPools({ nodes, clock, random, metrics: createQuotaPoolMetrics(meter) })
  }

  /** Charges quotas of a request that is known to be allowed; a plain value where nobody has to be asked. */
  charge(request: SeenRequest, demands: Demands, options: QuotaOptions): Grants | Promise<Grants> {
    const call = callOf(request, demands, options)
    if (call !== undefined) return this.#pools.charge(call, this.#options.clock.monotonic())
    return this.#chargeAtNode(request, demands, options)
  }

  /** What a check that a node is asked has to name: what was decided for the same call before is not charged again. */
  async toAsk(
    { wanted }: SeenRequest,
    { quotas, deduplicationId }: Pick<CheckOptions, 'quotas' | 'deduplicationId'>,
  ): Promise<ToAsk | undefined> {
    if (quotas === undefined || quotas.size === 0) return undefined
    const now = this.#options.clock.monotonic()
    const known = wanted === undefined ? NONE : await this.#pools.decided({ seen: wanted.bag, deduplicationId }, now)
    return { quotas: known.size === 0 ? quotas : new Map([...quotas].filter(([name]) => !known.has(name))), known }
  }

  /** Takes in what a node has granted along with a check that it allowed. @returns it with what was known before */
  learn(request: SeenRequest, asked: ToAsk, options: CheckOptions, grants: Grants, askedAt: number): Grants {
    const arrived = grantsAfter(grants, this.#options.clock.monotonic() - askedAt)
    const all = asked.known.size === 0 ? arrived : new Map([...asked.known, ...arrived])
    const call = callOf(request, asked.quotas, options)
    if (call !== undefined) this.#pools.learn(call, all)
    return all
  }

  async #chargeAtNode(
    { bag, affinity: { affinity, tenant } }: SeenRequest,
    quotas: Demands,
    { timeoutMs, deduplicationId }: QuotaOptions,
  ): Promise<Grants> {
    const retries = deduplicationId === undefined ? {} : { deduplicationId }
    return await askForGrants(this.#options, { bag, timeoutMs, affinity, tenant, quotas, ...retries })
  }
}

/** Grants as callers get them: with what they depended on of what was sent, where they want to know. */
export function grantsFor(
  { wanted }: SeenRequest,
  grants: Grants,
  { references }: Pick<QuotaOptions, 'references'>,
): ReadonlyMap<string, QuotaGrant> {
  const isTold = references !== false
  const all = new Map<string, QuotaGrant>()
  for (const [name, grant] of grants) {
    const { shape } = grant
    // Who is not told what it depended on must not keep it.
    if (shape === undefined) all.set(name, { ...grant, validForMs: 0, referenced: NO_REFERENCES })
    else all.set(name, { ...grant, referenced: isTold ? referencedBy(shape) : NO_REFERENCES })
  }
  return isTold && wanted?.bag instanceof NormalRequestBag ? grantsAsSent(all, wanted.bag) : all
}

function callOf(
  { bag, wanted, affinity: key }: SeenRequest,
  demands: Demands,
  { deduplicationId, timeoutMs }: QuotaOptions,
): QuotaCall | undefined {
  if (wanted === undefined) return undefined
  const { affinity, tenant } = key
  return { config: wanted.config, bag, seen: wanted.bag, demands, deduplicationId, timeoutMs, affinity, tenant }
}
