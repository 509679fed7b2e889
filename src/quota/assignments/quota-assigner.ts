// Assigns to proxies what they may let pass, by the limits of the domains that are configured (Envoy's RLQS).

import type { Limits } from '../../adapter-kit/limits.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { Clock, Logger, Meter } from '../../kernel/ports.ts'
import type { BucketAction, BucketId, BucketUsage, QuotaAssignments, QuotaProxy } from '../../kernel/quota-buckets.ts'
import type { Domain } from '../descriptors/domain.ts'
import { RateLimitMetrics } from '../descriptors/rate-limit-metrics.ts'
import { AssignmentMetrics } from './assignment-metrics.ts'
import { type BucketLimit, limitOfBucket } from './bucket-limit.ts'
import { Claimant } from './claimant.ts'
import type { Claims } from './claims.ts'
import { CountedLimit } from './counted-limit.ts'
import { Rounds } from './rounds.ts'

const MAX_PROXIES = 4_096
const MAX_BUCKETS = 100_000
const MAX_BUCKETS_OF_ONE = 10_000
/** Characters of the names and values of a bucket. */
const MAX_ID = 1_024
const SWEEP_MS = 5_000
/** Failures are told of so often at most: each report may have one. */
const QUIET_MS = 10_000

export interface QuotaAssignerOptions {
  readonly domains: { domain(name: string): Domain | undefined }
  /** Opened when it is first needed. */
  readonly limits: () => Pick<Limits, 'charge'>
  readonly claims: Claims
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** Bounds, for tests. */
  readonly maxProxies?: number
  readonly maxBuckets?: number
}

/** What a proxy counts together, and what that is limited by. */
interface Subscription {
  readonly claimant: Claimant
  /** The config that `limit` is of; null before it was looked for. */
  domain: Domain | undefined | null
  limit: BucketLimit | undefined
  counted: CountedLimit | undefined
}

export class QuotaAssigner implements QuotaAssignments {
  readonly #options: QuotaAssignerOptions
  readonly #metrics: AssignmentMetrics
  readonly #hits: RateLimitMetrics
  readonly #limits = new Map<string, CountedLimit>()
  readonly #proxies = new Set<Proxy>()
  readonly #rounds: Rounds
  #buckets = 0
  #cancelSweep: (() => void) | undefined
  #toldAt = Number.NEGATIVE_INFINITY

  constructor(options: QuotaAssignerOptions) {
    this.#options = options
    this.#metrics = new AssignmentMetrics(options.meter)
    this.#hits = new RateLimitMetrics(options.meter)
    this.#rounds = new Rounds((error, limit) => this.#failed(error, limit))
  }

  open(name: string, send: (action: BucketAction) => void): QuotaProxy {
    if (name === '') throw new IntermixError('INVALID_REQUEST', 'the domain is empty')
    if (this.#proxies.size >= (this.#options.maxProxies ?? MAX_PROXIES)) {
      this.#metrics.refused('proxies')
      throw new IntermixError('OVERLOADED', 'too many proxies ask this node for quotas: ask another node')
    }
    if (this.#options.domains.domain(name) === undefined) this.#hits.unknownDomain()
    const tell = (action: BucketAction) => {
      this.#metrics.told(action.kind === 'assign' ? action.strategy.kind : 'abandon')
      send(action)
    }
    const proxy = new Proxy(this, name, tell)
    this.#proxies.add(proxy)
    this.#count()
    this.#cancelSweep ??= this.#options.clock.after(SWEEP_MS, () => this.#sweep())
    return proxy
  }

  /** For people who look into the process. */
  view(): object {
    return { proxies: this.#proxies.size, buckets: this.#buckets, limits: this.#limits.size }
  }

  stop(): void {
    this.#cancelSweep?.()
    this.#cancelSweep = () => undefined
  }

  /** @internal A proxy has reported. */
  report(proxy: Proxy, usages: readonly BucketUsage[]): void {
    const domain = this.#options.domains.domain(proxy.domain)
    const now = this.#options.clock.monotonic()
    for (const usage of usages) {
      const id = idOf(usage.bucket)
      const subscription = proxy.subscriptions.get(id) ?? this.#subscribe(proxy, id, usage.bucket, now)
      if (subscription === undefined) proxy.send({ bucket: usage.bucket, kind: 'abandon' })
      else this.#take(proxy, id, subscription, domain, usage, now)
    }
  }

  /** @internal The stream of a proxy is closed. */
  close(proxy: Proxy): void {
    if (!this.#proxies.delete(proxy)) return
    for (const { claimant } of proxy.subscriptions.values()) claimant.isGone = true
    this.#buckets -= proxy.subscriptions.size
    this.#count()
  }

  #subscribe(proxy: Proxy, id: string, bucket: BucketId, now: number): Subscription | undefined {
    const isFull = this.#buckets >= (this.#options.maxBuckets ?? MAX_BUCKETS)
    if (isFull || proxy.subscriptions.size >= MAX_BUCKETS_OF_ONE) return this.#metrics.refused('buckets')
    if (bucket.length === 0 || id.length > MAX_ID) return this.#metrics.refused('id')
    const claimant = new Claimant(bucket, proxy.send, now)
    const subscription = { claimant, domain: null, limit: undefined, counted: undefined }
    proxy.subscriptions.set(id, subscription)
    this.#buckets++
    this.#count()
    return subscription
  }

  #take(
    proxy: Proxy,
    id: string,
    subscription: Subscription,
    domain: Domain | undefined,
    usage: BucketUsage,
    now: number,
  ): void {
    const { claimant } = subscription
    this.#follow(subscription, domain)
    const { limit, counted } = subscription
    const unassigned = claimant.reported(usage, now)
    if (limit !== undefined) {
      const { domain: name, name: descriptor, limit: configured } = limit
      this.#hits.reported({ domain: name, descriptor, within: usage.allowed, over: usage.denied })
      if (!configured.isShadow && configured.unit !== 'second') this.#metrics.unassigned(unassigned)
    }
    if (claimant.isIdle(now)) return this.#forget(proxy, id, subscription)
    if (counted === undefined) return claimant.allow(now)
    counted.reported(claimant, usage, now)
    this.#rounds.add(counted)
  }

  /** Finds the limit of a bucket anew where the config has changed. */
  #follow(subscription: Subscription, domain: Domain | undefined): void {
    if (subscription.domain === domain) return
    const { claimant, counted } = subscription
    const limit = domain === undefined ? undefined : limitOfBucket(domain, claimant.bucket)
    subscription.domain = domain
    subscription.limit = limit
    if (counted?.key !== limit?.counter) {
      counted?.leave(claimant)
      claimant.held = 0
    }
    subscription.counted = limit && this.#counted(limit)
    subscription.counted?.join(claimant)
  }

  #counted(limit: BucketLimit): CountedLimit {
    let counted = this.#limits.get(limit.counter)
    if (counted === undefined) this.#limits.set(limit.counter, (counted = new CountedLimit(this.#options, limit)))
    counted.configure(limit)
    return counted
  }

  #forget(proxy: Proxy, id: string, { claimant, counted }: Subscription): void {
    claimant.abandon()
    counted?.leave(claimant)
    proxy.subscriptions.delete(id)
    this.#buckets--
    this.#count()
  }

  /** Forgets what nobody has reported for long, and what was held by those who have gone. */
  #sweep(): void {
    const now = this.#options.clock.monotonic()
    for (const proxy of this.#proxies)
      for (const [id, subscription] of proxy.subscriptions)
        if (subscription.claimant.isIdle(now)) this.#forget(proxy, id, subscription)
    for (const [key, limit] of this.#limits) {
      limit.expire(now)
      if (limit.claimants.size === 0) this.#limits.delete(key)
    }
    const isNeeded = this.#proxies.size > 0 || this.#limits.size > 0
    this.#cancelSweep = isNeeded ? this.#options.clock.after(SWEEP_MS, () => this.#sweep()) : undefined
  }

  #failed(error: unknown, limit: CountedLimit): void {
    this.#metrics.refused('unknown')
    const now = this.#options.clock.monotonic()
    if (now - this.#toldAt < QUIET_MS) return
    this.#toldAt = now
    const told = { err: error, counter: limit.key }
    this.#options.log.warn(told, 'proxies get no quota for now: what is left of a limit is not known')
  }

  #count(): void {
    this.#metrics.open(this.#proxies.size, this.#buckets)
  }
}

class Proxy implements QuotaProxy {
  readonly #assigner: QuotaAssigner
  readonly domain: string
  readonly send: (action: BucketAction) => void
  readonly subscriptions = new Map<string, Subscription>()

  constructor(assigner: QuotaAssigner, domain: string, send: (action: BucketAction) => void) {
    this.#assigner = assigner
    this.domain = domain
    this.send = send
  }

  report(usages: readonly BucketUsage[]): void {
    this.#assigner.report(this, usages)
  }

  close(): void {
    this.#assigner.close(this)
  }
}

function idOf(bucket: BucketId): string {
  return JSON.stringify(bucket.map(({ key, value }) => [key, value]))
}
