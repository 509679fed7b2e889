// Rate limits by rules: what a caller describes, one descriptor at a time, is charged to the quotas of the rules that read it.

import type { LimitStanding } from '../adapter-kit/define-adapter.ts'
import { DESTINATION_NAMESPACE } from '../config/request-namespace.ts'
import { type AttributeBag, MapBag, OverlayBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import {
  type DescriptorEntry,
  type DescriptorStatus,
  hitsOf,
  NO_LIMIT,
  RATE_UNITS,
  type RateLimitDemand,
  UNIT_SECONDS,
  UNLIMITED,
} from '../kernel/rate-limit.ts'
import { RATE_LIMIT_DESCRIPTOR, RATE_LIMIT_DOMAIN, RATE_LIMIT_HITS } from '../kernel/rate-limit-attributes.ts'
import type { AttributeValue, StringMap } from '../kernel/value.ts'
import type { CheckMetrics } from './check-metrics.ts'
import { type CheckPlan, CheckPlans } from './check-plan.ts'
import type { PolicyState } from './handler-table.ts'
import type { MatchFailed } from './rule-match.ts'
import { type Charged, chargeQuotas, chargeShadow } from './rule-quotas.ts'

export interface RuleLimitsOptions {
  readonly clock: Clock
  readonly metrics: Pick<CheckMetrics, 'matchFailures' | 'shadowQuota'>
  /** The current config; `undefined` before the first one is in. */
  state(): PolicyState | undefined
}

/** Charges what a demand comes to, and says of each descriptor, in order, what became of it. Never rejects. */
export type ChargeDemand = () => readonly DescriptorStatus[] | Promise<readonly DescriptorStatus[]>

interface Described {
  readonly bag: AttributeBag
  readonly hits: number
  readonly plan: CheckPlan
}

export class RuleLimits {
  readonly #options: RuleLimitsOptions
  readonly #plans = new CheckPlans(undefined)

  constructor(options: RuleLimitsOptions) {
    this.#options = options
  }

  /** Whether there are rules that limit rates. @throws IntermixError NOT_READY before the first config is in */
  get exist(): boolean {
    return this.#state().rules.limitsRates
  }

  /**
   * What charges a demand to the rules that may apply to it; `undefined` where there are none. Nothing is charged yet.
   * @throws IntermixError NOT_READY; INVALID_REQUEST for a descriptor without entries
   */
  concerning(demand: RateLimitDemand, { timeoutMs }: { readonly timeoutMs: number }): ChargeDemand | undefined {
    const state = this.#state()
    if (!state.rules.limitsRates) return undefined
    const all = demand.descriptors.map((descriptor, at): Described => {
      if (descriptor.entries.length === 0) throw new IntermixError('INVALID_REQUEST', `descriptor ${at} has no entries`)
      const hits = hitsOf(descriptor, demand)
      const bag = bagOf(demand.domain, descriptor.entries, hits)
      return { bag, hits, plan: this.#plans.of(state.rules.rateLimit(bag)) }
    })
    if (all.every(({ plan: { charging, shadowCharging } }) => charging.length + shadowCharging.length === 0))
      return undefined
    const deadline = this.#options.clock.monotonic() + timeoutMs
    return () => {
      const statuses = all.map((described) => this.#charge(described, state, deadline, timeoutMs))
      if (!statuses.some((status) => status instanceof Promise)) return statuses as readonly DescriptorStatus[]
      return state.handlers.hold(Promise.all(statuses.map((status) => Promise.resolve(status))))
    }
  }

  #charge(
    { bag, hits, plan }: Described,
    state: PolicyState,
    deadline: number,
    timeoutMs: number,
  ): DescriptorStatus | Promise<DescriptorStatus> {
    const { metrics } = this.#options
    const call = { bag, state, deadline, options: { timeoutMs } }
    const how = { call, hits, matchFailed: this.#matchFailed }
    if (plan.shadowCharging.length > 0) chargeShadow({ ...how, rules: plan.shadowCharging }, metrics)
    const charged = chargeQuotas([{ ...how, rules: plan.charging, named: NONE }])
    return charged instanceof Promise ? charged.then(statusOf) : statusOf(charged)
  }

  readonly #matchFailed: MatchFailed = ({ name }, { kind }) => this.#options.metrics.matchFailures.add(name, kind)

  #state(): PolicyState {
    const state = this.#options.state()
    if (state === undefined) throw new IntermixError('NOT_READY', 'the config is not loaded yet')
    return state
  }
}

const NONE: ReadonlySet<string> = new Set()

/** Rules of the namespace that is called like the domain apply, beside those of the default namespace. */
function bagOf(domain: string, entries: readonly DescriptorEntry[], hits: number): AttributeBag {
  return new MapBag(
    new Map<string, AttributeValue>([
      [RATE_LIMIT_DOMAIN, domain],
      [RATE_LIMIT_DESCRIPTOR, mapOf(entries)],
      [RATE_LIMIT_HITS, BigInt(hits)],
      [DESTINATION_NAMESPACE, domain],
    ]),
  )
}

/** A request in which somebody describes a demand, as rules see it; `undefined` for any other request. */
export function asDemand(request: AttributeBag): AttributeBag | undefined {
  const domain = request.get(RATE_LIMIT_DOMAIN)
  if (domain === undefined) return undefined
  const hits = request.get(RATE_LIMIT_HITS) ?? 1n
  const values = new Map([
    [RATE_LIMIT_HITS, hits],
    [DESTINATION_NAMESPACE, domain],
  ])
  return new OverlayBag(request, new Set(values.keys()), values)
}

/** Of a key that comes twice, which proxies can be told to send, either value may be meant. */
function mapOf(entries: readonly DescriptorEntry[]): StringMap {
  const map = new Map<string, string>()
  const twice = new Set<string>()
  for (const { key, value } of entries) {
    if (map.has(key) && map.get(key) !== value) twice.add(key)
    map.set(key, value)
  }
  if (twice.size === 0) return map
  return {
    size: map.size,
    get: (key) => map.get(key),
    entries: () => map.entries(),
    ambiguity: (key) => (key === undefined || twice.has(key) ? 'value' : undefined),
  }
}

/** Told is the limit that refuses, or of those that grant the one with the least left. */
function statusOf({ limits, refusal }: Charged): DescriptorStatus {
  const isOver = refusal !== undefined
  const told = limits
    .filter(({ retryAfterMs }) => !isOver || retryAfterMs > 0)
    .toSorted((a, b) => a.left - b.left)
    .at(0)
  if (told === undefined) return { ...NO_LIMIT, isOver }
  const { name, amount, left, resetMs } = told
  return {
    isOver,
    limit: { name, requestsPerUnit: Math.min(UNLIMITED, amount), unit: unitOf(told) },
    remaining: isOver ? 0 : Math.min(UNLIMITED, Math.max(0, Math.floor(left))),
    resetSeconds: Math.ceil(resetMs / 1_000),
  }
}

function unitOf({ windowMs }: LimitStanding) {
  return RATE_UNITS.find((unit) => UNIT_SECONDS[unit] * 1_000 === windowMs)
}
