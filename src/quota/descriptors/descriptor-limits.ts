// Answers what Envoy's rate limit service asks, from the domains that are configured.

import type { LimitCharge, LimitOutcome, Limits } from '../../adapter-kit/limits.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { Clock, Meter } from '../../kernel/ports.ts'
import {
  type DescriptorStatus,
  NO_LIMIT,
  type RateLimitAnswer,
  type RateLimitDemand,
  UNIT_SECONDS,
  UNLIMITED,
} from '../../kernel/rate-limit.ts'
import type { RateLimitService } from '../../kernel/services.ts'
import { answerOf } from './answer.ts'
import { type Asked, askedOf } from './asked.ts'
import type { Domain } from './domain.ts'
import { RateLimitMetrics } from './rate-limit-metrics.ts'

export interface DescriptorLimitsOptions {
  readonly domains: { domain(name: string): Domain | undefined }
  /** Opened when it is first needed. */
  readonly limits: () => Limits
  readonly clock: Clock
  readonly meter: Meter
}

const NONE: ReadonlyMap<string, LimitOutcome> = new Map()
const UNLIMITED_STATUS: DescriptorStatus = { ...NO_LIMIT, remaining: UNLIMITED }

export class DescriptorLimits implements RateLimitService {
  readonly #options: DescriptorLimitsOptions
  readonly #metrics: RateLimitMetrics

  constructor(options: DescriptorLimitsOptions) {
    this.#options = options
    this.#metrics = new RateLimitMetrics(options.meter)
  }

  /** Throws, or rejects, with INVALID_REQUEST, NOT_READY for a domain whose config has errors, or as `Limits.charge` does. */
  shouldRateLimit(
    demand: RateLimitDemand,
    { timeoutMs }: { readonly timeoutMs: number },
  ): RateLimitAnswer | Promise<RateLimitAnswer> {
    if (demand.domain === '') throw new IntermixError('INVALID_REQUEST', 'the domain is empty')
    if (demand.descriptors.length === 0) throw new IntermixError('INVALID_REQUEST', 'there are no descriptors')
    const domain = this.#options.domains.domain(demand.domain)
    if (domain === undefined) {
      this.#metrics.unknownDomain()
      return answerOf(
        demand.descriptors.map(() => NO_LIMIT),
        [],
      )
    }
    const asked = askedOf(domain, demand)
    const outcomes = this.#charge(domain, asked, timeoutMs)
    return outcomes instanceof Promise
      ? outcomes.then((done) => this.#answer(domain, asked, done))
      : this.#answer(domain, asked, outcomes)
  }

  /** The outcomes by counter. */
  #charge(
    { charging }: Domain,
    asked: readonly Asked[],
    timeoutMs: number,
  ): ReadonlyMap<string, LimitOutcome> | Promise<ReadonlyMap<string, LimitOutcome>> {
    const deadline = this.#options.clock.monotonic() + timeoutMs
    const strict = new Map<string, LimitCharge>()
    const single = new Map<string, LimitCharge>()
    for (const { limit, counter, hits, isOptional } of asked) {
      if (limit === undefined || counter === '') continue
      const charges = charging.mode === 'all' && !isOptional ? strict : single
      const amount = hits + (charges.get(counter)?.amount ?? 0)
      charges.set(counter, {
        key: counter,
        rule: ruleOf(limit),
        amount,
        accuracy: charging.accuracy,
        away: charging.away,
      })
    }
    const first = this.#step([...strict.values()], 'all', deadline)
    const second = this.#step([...single.values()], 'count', deadline)
    if (first instanceof Promise || second instanceof Promise)
      return Promise.all([first, second]).then(([one, other]) => joined(one, other))
    return joined(first, second)
  }

  #step(
    charges: readonly LimitCharge[],
    mode: 'all' | 'count',
    deadline: number,
  ): ReadonlyMap<string, LimitOutcome> | Promise<ReadonlyMap<string, LimitOutcome>> {
    if (charges.length === 0) return NONE
    const byCounter = (outcomes: readonly LimitOutcome[]) =>
      new Map(charges.map(({ key }, at) => [key, outcomes[at] as LimitOutcome]))
    const outcomes = this.#options.limits().charge(charges, { mode, deadline })
    return outcomes instanceof Promise ? outcomes.then(byCounter) : byCounter(outcomes)
  }

  #answer(domain: Domain, asked: readonly Asked[], outcomes: ReadonlyMap<string, LimitOutcome>): RateLimitAnswer {
    /** Of each counter, what later descriptors of this request have charged to it. */
    const later = new Map<string, number>()
    const statuses: DescriptorStatus[] = []
    for (let at = asked.length - 1; at >= 0; at--)
      statuses.unshift(this.#status(domain, asked[at] as Asked, outcomes, later))
    return answerOf(statuses, asked)
  }

  #status(
    { name, charging }: Domain,
    { limit, counter, hits, isUnlimited, isShadow, isOptional, metric }: Asked,
    outcomes: ReadonlyMap<string, LimitOutcome>,
    later: Map<string, number>,
  ): DescriptorStatus {
    if (isUnlimited) return UNLIMITED_STATUS
    const outcome = outcomes.get(counter)
    if (limit === undefined || outcome === undefined) return NO_LIMIT
    const most = limit.requestsPerUnit
    const isCounted = charging.mode === 'count' || isOptional
    const since = later.get(counter) ?? 0
    later.set(counter, since + hits)
    const left = isCounted ? outcome.left + since : outcome.left
    // Of the last charge of a counter, whoever decided knows best: what is left may be an estimate. A look exceeds nothing.
    const isOver = hits === 0 || (isCounted && since > 0) ? left < 0 : outcome.isExceeded
    this.#metrics.counted({ domain: name, descriptor: metric(), hits, most, after: most - left, isOver, isShadow })
    return {
      isOver: isOver && !isShadow,
      limit,
      remaining: isOver ? 0 : Math.min(UNLIMITED, Math.max(0, left)),
      resetSeconds: this.#resetSeconds(UNIT_SECONDS[limit.unit], outcome.resetMs),
    }
  }

  /** By the clock that decided; by our own where nothing is counted yet. */
  #resetSeconds(unitSeconds: number, resetMs: number): number {
    if (resetMs > 0) return Math.min(unitSeconds, Math.ceil(resetMs / 1_000))
    return unitSeconds - (Math.floor(this.#options.clock.now() / 1_000) % unitSeconds)
  }
}

function joined(
  one: ReadonlyMap<string, LimitOutcome>,
  other: ReadonlyMap<string, LimitOutcome>,
): ReadonlyMap<string, LimitOutcome> {
  return one.size === 0 ? other : other.size === 0 ? one : new Map([...one, ...other])
}

function ruleOf({ requestsPerUnit: amount, unit }: NonNullable<Asked['limit']>): LimitCharge['rule'] {
  return { algorithm: 'fixedWindow', amount, windowMs: UNIT_SECONDS[unit] * 1_000, from: 'epoch' }
}
