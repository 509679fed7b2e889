// The verdict cache at the grain of single handlers: local tier, mesh tier, backend; one fetch per key at a time in the
// process and, by lease, mostly one in the mesh; stale verdicts within their bound while the backend gives none.

import type { Instance } from '../adapter-kit/instance.ts'
import type { HandlerConfig } from '../config/snapshot.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Meter } from '../kernel/ports.ts'
import type { Tier, Verdict } from '../kernel/verdict.ts'
import { createCacheMetrics, type HandlerCacheMetrics, type MetricsOf } from './cache-metrics.ts'
import { FailureMemory } from './failure-memory.ts'
import type { FlightResult } from './flight.ts'
import { Flights } from './flights.ts'
import { instanceKey } from './instance-key.ts'
import type { KeyCardinality } from './key-cardinality.ts'
import type { LocalTier, LocalTiers } from './local-tier.ts'
import type { MeshTier } from './mesh-tier.ts'
import type { Protection } from './protection.ts'
import { RefreshAhead } from './refresh-ahead.ts'
import type { ValidityAdvice } from './tuning/validity-advice.ts'
import { freshness, spend, type VerdictEntry } from './verdict-entry.ts'
import type { VerdictOutcome, VerdictRequest } from './verdict-request.ts'
import { VerdictRules, type VerdictRulesOptions } from './verdict-rules.ts'

export interface VerdictCacheOptions extends VerdictRulesOptions {
  readonly meter: Meter
  /** `undefined` switches the tier off. */
  readonly local: LocalTiers | undefined
  readonly mesh: MeshTier | undefined
  readonly protection: Protection
  readonly cardinality: KeyCardinality
  /** Hears of verdicts that the local tier has not had: how long they took, and whether a backend was called. */
  readonly missed?: ((handler: string, ms: number, isCall: boolean) => void) | undefined
  /** Hears of verdicts that were fetched again. */
  readonly validity?: ValidityAdvice | undefined
  /** Background refreshes of one handler per second. */
  readonly refreshesPerSecond: number
  /** What may be kept to make those with. */
  maxWatchedBytes(): number
}

/** A check joins the fetches of others in this part of its time, and makes one of its own in the rest. */
const JOINING_SHARE = 1 / 3
/** Fetches for one request, as long as revocations void what they bring. */
const MAX_FETCHES = 4

export class VerdictCache {
  readonly #options: VerdictCacheOptions
  readonly #rules: VerdictRules
  readonly #flights: Flights
  readonly #failures: FailureMemory
  readonly #refreshAhead: RefreshAhead
  readonly #metricsOf: MetricsOf

  constructor(options: VerdictCacheOptions) {
    const { clock, random, meter, mesh, cardinality } = options
    this.#options = options
    this.#metricsOf = createCacheMetrics(meter)
    this.#failures = new FailureMemory(clock, random)
    this.#rules = new VerdictRules(options)
    this.#flights = new Flights({
      clock,
      random,
      rules: this.#rules,
      failures: this.#failures,
      metricsOf: this.#metricsOf,
      mesh,
      cardinality,
      keeps: options.local !== undefined,
      store: (key, request, entry, hasAsker) => this.#store(key, request, entry, hasAsker),
    })
    this.#refreshAhead = new RefreshAhead({
      clock,
      perSecond: options.refreshesPerSecond,
      maxItems: 100_000,
      maxBytes: () => options.maxWatchedBytes(),
      onDrop: (handler) => this.#metricsOf(handler).unwatched.add(),
      current: (key, handler) => options.local?.known(handler)?.peek(key),
      refresh: (key, request, known) => this.#refresh(key, request, known),
    })
  }

  /** Answers at once from the local tier or without I/O; otherwise within the request's deadline. Never rejects. */
  get(request: VerdictRequest): VerdictOutcome | Promise<VerdictOutcome> {
    const { handler } = request.source
    if (!handler.adapter.doesIo) return this.#compute(request)
    const key = instanceKey(handler.digest, request.instance)
    const metrics = this.#metricsOf(handler)
    const tier = this.#options.local?.of(handler.name)
    const entry = this.#usable(tier?.get(key), request, metrics)
    if (entry !== undefined) {
      const now = this.#options.clock.monotonic()
      const state = freshness(entry, now, handler.staleWhileRevalidateMs)
      if (state === 'fresh') {
        this.#served(tier, key, entry, request, now)
        if (this.#rules.wantsEarlyRefresh(entry, now)) this.#refresh(key, request, entry)
        return this.#serve('local', entry, metrics, now)
      }
      if (state === 'revalidate') {
        this.#served(tier, key, entry, request, now)
        this.#refresh(key, request, entry)
        return this.#serve('stale', entry, metrics, now)
      }
      // A verdict that cannot be served any more is no reason to be less patient with the backend.
      if (state === 'stale') return this.#ask(key, request, entry, metrics)
    }
    return this.#ask(key, request, undefined, metrics)
  }

  #served(
    tier: LocalTier | undefined,
    key: string,
    entry: VerdictEntry,
    { source }: VerdictRequest,
    now: number,
  ): void {
    const { name, staleWhileRevalidateMs } = source.handler
    this.#options.protection.record(name, true)
    tier?.served(key, entry, now + entry.freshUntil - entry.createdAt + staleWhileRevalidateMs)
  }

  /** A verdict that could be served now from this process; looking counts nowhere and uses nothing up. */
  peek(handler: HandlerConfig, instance: Instance, bag: AttributeBag): Verdict | undefined {
    const entry = this.#options.local?.known(handler.name)?.peek(instanceKey(handler.digest, instance))
    if (entry === undefined || !this.#rules.isYoungEnough(entry)) return undefined
    const isFresh = freshness(entry, this.#options.clock.monotonic(), 0) === 'fresh'
    return isFresh && this.#rules.allows(entry.epoch, { source: { handler }, bag }) ? entry.verdict : undefined
  }

  /** Drops everything that is held in this process; the mesh tier is left alone. */
  clear(): void {
    this.#options.local?.clear()
    this.#failures.clear()
  }

  /** What is kept to refresh verdicts with, in bytes. */
  get watchedBytes(): number {
    return this.#refreshAhead.bytes
  }

  /** Stops background refreshes. */
  stop(): void {
    this.#refreshAhead.stop()
  }

  #compute(request: VerdictRequest): VerdictOutcome | Promise<VerdictOutcome> {
    const startedAt = this.#options.clock.monotonic()
    const { epoch } = this.#rules
    const done = (verdict: Verdict): VerdictOutcome => ({
      tier: 'backend',
      entry: this.#rules.entryOf(verdict, request.source.handler, startedAt, epoch),
    })
    try {
      const verdict = request.source.fetch(request.instance, request.deadline)
      if (!(verdict instanceof Promise)) return done(verdict)
      return verdict.then(done, (error: unknown) => ({ error: IntermixError.from(error) }))
    } catch (error) {
      return { error: IntermixError.from(error) }
    }
  }

  async #ask(
    key: string,
    request: VerdictRequest,
    held: VerdictEntry | undefined,
    metrics: HandlerCacheMetrics,
  ): Promise<VerdictOutcome> {
    const { clock, protection, missed } = this.#options
    const { handler } = request.source
    const askedAt = clock.monotonic()
    const result = await this.#fetched(key, request, held, metrics)
    const now = clock.monotonic()
    if (result.entry !== undefined) {
      missed?.(handler.name, now - askedAt, result.tier === 'backend')
      protection.record(handler.name, result.tier === 'mesh' || held !== undefined || result.stale !== undefined)
      return this.#serve(result.tier, result.entry, metrics, now)
    }
    const stale = this.#usable(result.stale, request, metrics) ?? this.#usable(held, request, metrics)
    const servable = stale !== undefined && freshness(stale, now, 0) !== 'dead'
    // What made it impatient with the backend was revoked or has ended meanwhile: now only the backend can help.
    const wasImpatient = held !== undefined || (result.impatient === true && result.stale !== undefined)
    if (!servable && wasImpatient) return this.#ask(key, request, undefined, metrics)
    protection.record(handler.name, servable)
    if (servable) return this.#serve('stale', stale, metrics, now)
    metrics.served.none.add()
    return { error: result.error }
  }

  /** A verdict that this request may have, from the fetch that is under way or from one of its own. */
  async #fetched(
    key: string,
    request: VerdictRequest,
    held: VerdictEntry | undefined,
    metrics: HandlerCacheMetrics,
  ): Promise<FlightResult> {
    const { clock } = this.#options
    const askedAt = clock.monotonic()
    const recent = this.#failures.recent(key)
    // A stale verdict that is not here any more is in the mesh tier still: it is worth a look.
    if (recent !== undefined && (held !== undefined || !recent.hasStaleCopy)) return { error: recent.error }
    if (held !== undefined && !request.source.healthy()) {
      return { error: new IntermixError('BACKEND_FAILED', `${request.source.handler.name} is unwell`) }
    }
    const patientUntil = askedAt + (request.deadline - askedAt) * JOINING_SHARE
    do {
      const flight = this.#flights.join(key, request)
      if (flight === undefined) break
      metrics.coalesced.add()
      const joined = await flight.wait(request, held)
      if (joined.entry === undefined) return joined
      // What others fetched is a reuse: it must have been reusable when this request came.
      const { freshUntil, usesLeft, verdict } = joined.entry
      if (askedAt < freshUntil && usesLeft > 0 && this.#rules.allows(joined.entry.epoch, request)) {
        spend(joined.entry, clock.monotonic())
        return joined
      }
      if (verdict.validForMs === 0 || verdict.validUses === 0) break
      // Others were quicker to use it up, or it was revoked: one of those who wait fetches it again for some more.
    } while (clock.monotonic() < patientUntil)
    for (let attempt = 1; ; attempt++) {
      const flight = this.#flights.start(key, request, { held: attempt === 1 ? held : undefined, hasAsker: true })
      const own = await flight.wait(request, held)
      if (own.entry === undefined || this.#rules.allows(own.entry.epoch, request)) return own
      // Revoked while it was fetched: once more, from after the revocation. Where the log is lost again and again (its
      // Redis is flushed), one more fetch may not be enough.
      metrics.revoked.add()
      if (attempt === MAX_FETCHES) break
    }
    return {
      error: new IntermixError('BACKEND_FAILED', `${request.source.handler.name}: revoked while it was fetched`),
    }
  }

  /** Refreshes in the background, unless a fetch is under way, the key has just failed or the backend is unwell. */
  #refresh(key: string, request: VerdictRequest, known: VerdictEntry): void {
    const { source } = request
    if (!source.healthy() || this.#failures.recent(key) !== undefined) return
    if (this.#flights.join(key, request) !== undefined) return
    void this.#flights.start(key, request, { held: known, hasAsker: false }).result.then((result) => {
      if (result.entry !== undefined) this.#metricsOf(source.handler).refreshed.add()
    })
  }

  #serve(tier: Tier, entry: VerdictEntry, metrics: HandlerCacheMetrics, now: number): VerdictOutcome {
    metrics.served[tier].add()
    // The check that a fetch was made for has its use already, or is the one that the backend answered.
    if (tier === 'local' || tier === 'stale') spend(entry, now)
    return { tier, entry }
  }

  #usable(
    entry: VerdictEntry | undefined,
    request: VerdictRequest,
    metrics: HandlerCacheMetrics,
  ): VerdictEntry | undefined {
    if (entry === undefined) return undefined
    if (!this.#rules.allows(entry.epoch, request)) {
      metrics.revoked.add()
      return undefined
    }
    return this.#rules.isYoungEnough(entry) ? entry : undefined
  }

  #store(key: string, request: VerdictRequest, entry: VerdictEntry, isAsked: boolean): void {
    const { local, validity } = this.#options
    if (local === undefined) return
    const { name, staleWhileRevalidateMs } = request.source.handler
    const tier = local.of(name)
    const former = validity && tier.peek(key)
    if (former !== undefined)
      validity?.refreshed(name, former.verdict, entry.verdict, entry.createdAt - former.createdAt)
    tier.set(key, entry, { isAsked, servedForMs: staleWhileRevalidateMs })
    this.#refreshAhead.schedule(key, request, entry)
  }
}
