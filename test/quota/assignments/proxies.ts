// Proxies that do as they are assigned, as Envoy does, and nodes that assign to them, in time that a test moves.

import type { Limits } from '../../../src/adapter-kit/limits.ts'
import type { BucketAction, BucketId, BucketUsage, QuotaProxy, Strategy } from '../../../src/kernel/quota-buckets.ts'
import { type Claims, CLAIMS_ALONE } from '../../../src/quota/assignments/claims.ts'
import { QuotaAssigner, type QuotaAssignerOptions } from '../../../src/quota/assignments/quota-assigner.ts'
import type { Domain } from '../../../src/quota/descriptors/domain.ts'
import { MemoryLimits } from '../../../src/quota/memory-limits.ts'
import type { FakeClock } from '../../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../../redis/support.ts'
import { domainsOf, entries } from '../descriptors/domains.ts'

/** The domain `d` with these descriptors. */
export const config = (descriptors: string, intermix = '{}') =>
  `{domain: d, intermix: ${intermix}, descriptors: ${descriptors}}`

/** Counts what is under way, so that a test can wait for it. */
export class Pending {
  readonly #all = new Set<Promise<unknown>>()

  track<T>(promise: Promise<T>): Promise<T> {
    const end = () => void this.#all.delete(promise)
    this.#all.add(promise)
    promise.then(end, end)
    return promise
  }

  /** What is answered may ask again. */
  async settled(): Promise<void> {
    do {
      await Promise.allSettled(this.#all)
      await new Promise((resolve) => setImmediate(resolve))
    } while (this.#all.size > 0)
  }
}

export interface NodeParts {
  readonly limits?: Pick<Limits, 'charge'>
  readonly claims?: Claims
  readonly bounds?: Pick<QuotaAssignerOptions, 'maxProxies' | 'maxBuckets'>
}

/** One process that assigns. */
export class AssigningNode {
  readonly meter = new ReadableMeter()
  readonly log = new KeptLog()
  readonly assigner: QuotaAssigner
  readonly clock: FakeClock
  domains: ReadonlyMap<string, Domain>

  constructor(
    text: string,
    clock: FakeClock,
    pending: Pending,
    { limits = new MemoryLimits({ clock }), claims = CLAIMS_ALONE, bounds = {} }: NodeParts = {},
  ) {
    this.clock = clock
    this.domains = domainsOf(text)
    const tracked: Pick<Limits, 'charge'> = {
      charge: async (charges, options) => await pending.track(Promise.resolve(limits.charge(charges, options))),
    }
    this.assigner = new QuotaAssigner({
      domains: { domain: (name) => this.domains.get(name) },
      limits: () => tracked,
      claims: {
        claim: (key, request) => pending.track(claims.claim(key, request)),
        get processes() {
          return claims.processes
        },
      },
      clock,
      log: this.log,
      meter: this.meter,
      ...bounds,
    })
  }
}

interface Assigned {
  readonly strategy: Strategy
  readonly until: number
  /** Of a number of requests, or a rate. */
  tokens: number
  filledAt: number
}

interface Usage {
  readonly bucket: BucketId
  allowed: number
  denied: number
  reportedAt: number
}

/** A proxy that refuses what it has no assignment for. */
export class SimulatedProxy {
  readonly actions: BucketAction[] = []
  readonly #fallback: 'allow' | 'deny'
  readonly #clock: FakeClock
  readonly #stream: QuotaProxy
  readonly #assigned = new Map<string, Assigned>()
  readonly #usages = new Map<string, Usage>()

  constructor(
    { assigner, clock }: Pick<AssigningNode, 'assigner' | 'clock'>,
    fallback: 'allow' | 'deny' = 'deny',
    domain = 'd',
  ) {
    this.#fallback = fallback
    this.#clock = clock
    this.#stream = assigner.open(domain, (action) => this.#apply(action))
  }

  /** Whether a request of this bucket passes. The first one of a bucket is reported at once. */
  request(...bucket: readonly string[]): boolean {
    const id = entries(...bucket)
    const name = nameOf(id)
    const known = this.#usages.get(name)
    const usage = known ?? { bucket: id, allowed: 0, denied: 0, reportedAt: this.#clock.monotonic() }
    this.#usages.set(name, usage)
    const passes = this.#passes(name)
    if (passes) usage.allowed++
    else usage.denied++
    if (known === undefined) this.#report([usage])
    return passes
  }

  report(): void {
    this.#report([...this.#usages.values()])
  }

  close(): void {
    this.#stream.close()
  }

  /** What it was told last. */
  get last(): unknown {
    const action = this.actions.at(-1)
    return action?.kind === 'assign' ? action.strategy : action?.kind
  }

  #report(usages: readonly Usage[]): void {
    const now = this.#clock.monotonic()
    const reports = usages.map(({ bucket, allowed, denied, reportedAt }): BucketUsage => {
      // In whole seconds, as Envoy has it.
      return { bucket, allowed, denied, elapsedMs: Math.floor((now - reportedAt) / 1_000) * 1_000 }
    })
    for (const usage of usages) Object.assign(usage, { allowed: 0, denied: 0, reportedAt: now })
    this.#stream.report(reports)
  }

  #apply(action: BucketAction): void {
    this.actions.push(action)
    const name = nameOf(action.bucket)
    if (action.kind === 'abandon') {
      this.#assigned.delete(name)
      this.#usages.delete(name)
      return
    }
    const { strategy, ttlSeconds } = action
    const now = this.#clock.monotonic()
    const before = this.#assigned.get(name)
    const until = now + ttlSeconds * 1_000
    this.#assigned.set(name, { strategy, until, filledAt: now, tokens: this.#tokens(strategy, before, now) })
  }

  #tokens(strategy: Strategy, before: Assigned | undefined, now: number): number {
    if (strategy.kind === 'allow' || strategy.kind === 'deny') return 0
    const of = (assigned: Strategy | undefined) =>
      assigned?.kind === 'requests' ? assigned.requests : assigned?.kind === 'rate' ? assigned.perSecond : undefined
    const most = of(strategy) ?? 0
    if (strategy.kind === 'requests' && strategy.isNew) return most
    const size = of(before?.strategy)
    if (before === undefined || size === undefined || now >= before.until) return most
    return (most * before.tokens) / size
  }

  #passes(name: string): boolean {
    const now = this.#clock.monotonic()
    const assigned = this.#assigned.get(name)
    if (assigned === undefined || now >= assigned.until) return this.#fallback === 'allow'
    const { strategy } = assigned
    if (strategy.kind === 'allow' || strategy.kind === 'deny') return strategy.kind === 'allow'
    if (strategy.kind === 'rate') {
      const filled = (strategy.perSecond * (now - assigned.filledAt)) / 1_000
      assigned.tokens = Math.min(strategy.perSecond, assigned.tokens + filled)
      assigned.filledAt = now
    }
    if (assigned.tokens < 1) return false
    assigned.tokens--
    return true
  }
}

function nameOf(bucket: BucketId): string {
  return JSON.stringify(bucket)
}
