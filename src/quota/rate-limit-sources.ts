// The rate limits of a node, whichever config has them: those of descriptors and those of rules. Each descriptor is charged to
// both, and the stricter of the two is its answer.

import { IntermixError } from '../kernel/errors.ts'
import type { DescriptorStatus, LimitMetadata, RateLimitAnswer, RateLimitDemand } from '../kernel/rate-limit.ts'
import type { RateLimitService } from '../kernel/services.ts'
import type { ChargeDemand, RuleLimits } from '../policy/rule-limits.ts'
import { answerOf } from './descriptors/answer.ts'
import type { WatchedDomains } from './descriptors/watched-domains.ts'

export interface RateLimitSourcesOptions {
  readonly domains: Pick<WatchedDomains, 'domain' | 'isEmpty'>
  readonly descriptors: RateLimitService
  readonly rules: Pick<RuleLimits, 'exist' | 'concerning'>
}

export class RateLimitSources implements RateLimitService {
  readonly #options: RateLimitSourcesOptions

  constructor(options: RateLimitSourcesOptions) {
    this.#options = options
  }

  /** Throws, or rejects, as `DescriptorLimits` does; and with NOT_FOUND where there are no rate limits at all. */
  shouldRateLimit(
    demand: RateLimitDemand,
    options: { readonly timeoutMs: number },
  ): RateLimitAnswer | Promise<RateLimitAnswer> {
    const { domains, descriptors, rules } = this.#options
    if (domains.isEmpty && !rules.exist)
      throw new IntermixError(
        'NOT_FOUND',
        'this node has no rate limits: put domains of envoyproxy/ratelimit into its config folder or ' +
          'into --ratelimit-config DIR, or a rule that reads ratelimit.descriptor',
      )
    const charge = demand.domain === '' ? undefined : rules.concerning(demand, options)
    if (charge === undefined) return descriptors.shouldRateLimit(demand, options)
    if (domains.domain(demand.domain) === undefined) return alone(charge)
    return both(descriptors.shouldRateLimit(demand, options), charge)
  }
}

function alone(charge: ChargeDemand): RateLimitAnswer | Promise<RateLimitAnswer> {
  const statuses = charge()
  return statuses instanceof Promise ? statuses.then((done) => answerOf(done, [])) : answerOf(statuses, [])
}

function both(
  configured: RateLimitAnswer | Promise<RateLimitAnswer>,
  charge: ChargeDemand,
): RateLimitAnswer | Promise<RateLimitAnswer> {
  const ruled = alone(charge)
  if (configured instanceof Promise || ruled instanceof Promise)
    return Promise.all([configured, ruled]).then(([one, other]) => joined(one, other))
  return joined(configured, ruled)
}

function joined(one: RateLimitAnswer, other: RateLimitAnswer): RateLimitAnswer {
  const statuses = one.statuses.map((status, at) =>
    withMetadata(stricter(status, other.statuses[at] ?? status), status.limit?.metadata),
  )
  const nearest = one.nearest && other.nearest ? stricter(one.nearest, other.nearest) : (one.nearest ?? other.nearest)
  return { isOver: one.isOver || other.isOver, statuses, nearest }
}

/** The one that refuses, else the one that limits and leaves less. */
function stricter(one: DescriptorStatus, other: DescriptorStatus): DescriptorStatus {
  if (one.isOver !== other.isOver) return one.isOver ? one : other
  if (one.limit === undefined || other.limit === undefined) return other.limit === undefined ? one : other
  return other.remaining < one.remaining ? other : one
}

/** Rules say nothing beside their limits: what the domain says is told, whichever of the two has less left. */
function withMetadata(status: DescriptorStatus, metadata: LimitMetadata | undefined): DescriptorStatus {
  const { limit } = status
  if (metadata === undefined || limit === undefined || limit.metadata !== undefined) return status
  return { ...status, limit: { ...limit, metadata } }
}
