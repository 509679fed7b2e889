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
import { type Charged, chargesOf } from './charges.ts'
import type { Domain, DomainCharging } from './domain.ts'
import { RateLimitMetrics } from './rate-limit-metrics.ts'

export interface DescriptorLimitsOptions {
  readonly domains: { domain(name: string): Domain | undefined }
  /** Opened when it is first needed. */
  readonly limits: () => Limits
  readonly clock: Clock
  readonly meter: Meter
}

const UNLIMITED_STATUS: DescriptorStatus = { ...NO_LIMIT, remaining: UNLIMITED }
const NO_OUTCOMES: readonly LimitOutcome[] = []

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
    const deadline = this.#options.clock.monotonic() + timeoutMs
    const { strict, single, charged } = chargesOf(asked, domain.charging)
    const first = this.#step(strict, 'all', deadline)
    const second = this.#step(single, 'count', deadline)
    if (first instanceof Promise)
      return Promise.all([first, second]).then(([one, other]) => this.#answer(domain, asked, charged, one, other))
    if (second instanceof Promise) return second.then((other) => this.#answer(domain, asked, charged, first, other))
    return this.#answer(domain, asked, charged, first, second)
  }

  #step(
    charges: readonly LimitCharge[],
    mode: 'all' | 'count',
    deadline: number,
  ): readonly LimitOutcome[] | Promise<readonly LimitOutcome[]> {
    return charges.length === 0 ? NO_OUTCOMES : this.#options.limits().charge(charges, { mode, deadline })
  }

  #answer(
    { name, charging }: Domain,
    asked: readonly Asked[],
    charged: readonly (Charged | undefined)[],
    strict: readonly LimitOutcome[],
    single: readonly LimitOutcome[],
  ): RateLimitAnswer {
    const statuses = asked.map((each, at) => {
      const of = charged[at]
      if (of === undefined) return each.isUnlimited ? UNLIMITED_STATUS : NO_LIMIT
      const outcome = (of.isStrict ? strict : single)[of.place]
      return outcome === undefined ? NO_LIMIT : this.#status(name, charging, each, of, outcome)
    })
    return answerOf(statuses, asked)
  }

  #status(
    domain: string,
    { mode }: DomainCharging,
    { limit, hits, isShadow, isOptional, metric }: Asked,
    { later, charge }: Charged,
    outcome: LimitOutcome,
  ): DescriptorStatus {
    if (limit === undefined) return NO_LIMIT
    const most = limit.requestsPerUnit
    const isCounted = mode === 'count' || isOptional
    // Two descriptors may have one counter and limits of their own.
    const left = outcome.left + (most - charge.rule.amount) + (isCounted ? later : 0)
    // Of the last charge of a counter, whoever decided knows best: what is left may be an estimate. A look exceeds nothing.
    const isLast = later === 0 && most === charge.rule.amount
    const isOver = hits === 0 || (isCounted && !isLast) ? left < 0 : outcome.isExceeded
    this.#metrics.counted({ domain, descriptor: metric(), hits, most, after: most - left, isOver, isShadow })
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
