// Fetches under way: at most one per key in this process. A fetch asks the mesh tier, then the backend if this node gets
// the lease, or waits a bounded while for the node that has it. It goes on whether or not its callers still wait.

import { pause } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Random } from '../kernel/ports.ts'
import { MAX_VALID_USES } from '../kernel/verdict.ts'
import type { MetricsOf } from './cache-metrics.ts'
import type { FailureMemory } from './failure-memory.ts'
import { Flight, type FlightResult } from './flight.ts'
import type { KeyCardinality } from './key-cardinality.ts'
import { MAX_LEASE_MS, type MeshLookup, type MeshTier } from './mesh-tier.ts'
import { HANDED_ON_SHARE, isUseBound, spend, type VerdictEntry } from './verdict-entry.ts'
import type { VerdictRequest } from './verdict-request.ts'
import type { VerdictRules } from './verdict-rules.ts'

/** Why a fetch is made. */
export interface FlightPlan {
  readonly held: VerdictEntry | undefined
  /** Whether a check waits that the fetch is made for: of an entry of the mesh tier one use is for it. */
  readonly hasAsker: boolean
}

export interface FlightsOptions {
  readonly clock: Clock
  readonly random: Random
  readonly rules: VerdictRules
  readonly failures: FailureMemory
  readonly metricsOf: MetricsOf
  readonly mesh: MeshTier | undefined
  readonly cardinality: KeyCardinality
  /** Whether what is stored is kept in this process. */
  readonly keeps: boolean
  /** @param hasAsker whether a check asked for it */
  store(key: string, request: VerdictRequest, entry: VerdictEntry, hasAsker: boolean): void
}

/** What the mesh tier had at last, and the stale entry that it had meanwhile. */
type MeshFinding = MeshLookup & { readonly token: string; readonly stale: VerdictEntry | undefined }

const MIN_LEASE_MS = 100

export class Flights {
  readonly #options: FlightsOptions
  readonly #flights = new Map<string, Flight>()

  constructor(options: FlightsOptions) {
    this.#options = options
  }

  /** The fetch of this key that is under way, if nothing that the request depends on was revoked since it began. */
  join(key: string, request: VerdictRequest): Flight | undefined {
    const flight = this.#flights.get(key)
    return flight !== undefined && this.#options.rules.allows(flight.epoch, request) ? flight : undefined
  }

  /** Starts a fetch; it takes the place of an older one of the same key. */
  start(key: string, request: VerdictRequest, plan: FlightPlan): Flight {
    const flight = new Flight(this.#options.rules, this.#options.clock)
    this.#flights.set(key, flight)
    void this.#fetch(key, request, plan, flight)
      .catch((error: unknown): FlightResult => ({ error: IntermixError.from(error) }))
      .then((outcome) => {
        if (this.#flights.get(key) === flight) this.#flights.delete(key)
        this.#remember(key, request, outcome, plan)
        flight.end(outcome)
      })
    return flight
  }

  #remember(key: string, { source }: VerdictRequest, { entry, error, stale }: FlightResult, plan: FlightPlan): void {
    const { failures } = this.#options
    if (entry !== undefined) return failures.succeeded(key)
    // While the breaker keeps calls away, it is the breaker that decides when to try again; and a key that was not
    // asked for, or not heard, has not failed.
    const isKeys = error.backend !== 'unasked' && error.backend !== 'unheard'
    if (isKeys && source.healthy()) failures.failed(key, error, (stale ?? plan.held) !== undefined)
  }

  async #fetch(key: string, request: VerdictRequest, plan: FlightPlan, flight: Flight): Promise<FlightResult> {
    const { mesh, cardinality } = this.#options
    const { source, instance } = request
    const isShared = cardinality.allowsMesh(instance, source.handler.name, key)
    if (mesh === undefined || !isShared) return this.#callBackend(key, request, plan, flight, undefined)
    const found = await this.#lookup(mesh, key, request, plan, flight)
    if (found.state === 'fresh') {
      if (plan.hasAsker) spend(found.entry, this.#options.clock.monotonic())
      this.#options.store(key, request, found.entry, plan.hasAsker)
      return { entry: found.entry, tier: 'mesh' }
    }
    return this.#callBackend(key, request, plan, flight, found)
  }

  /** Asks the mesh tier; while another node fetches, asks again until that node should long have been done. */
  async #lookup(
    mesh: MeshTier,
    key: string,
    request: VerdictRequest,
    plan: FlightPlan,
    flight: Flight,
  ): Promise<MeshFinding> {
    const { clock, random, rules, metricsOf } = this.#options
    const { handler } = request.source
    const token = mesh.token()
    const expected = plan.held?.fetchMs ?? handler.timeoutMs / 10
    // What has no uses left here may have some in the mesh.
    const known = plan.held !== undefined && plan.held.usesLeft > 0 ? plan.held : undefined
    const maxUses = this.#options.keeps ? MAX_VALID_USES : 1
    const leaseMs = Math.min(MAX_LEASE_MS, Math.max(MIN_LEASE_MS, handler.timeoutMs))
    const giveUpAt = clock.monotonic() + Math.min(leaseMs, Math.max(0, (request.deadline - clock.monotonic()) / 2))
    let pauseMs = Math.max(2, expected / 2)
    let waited = false
    let stale: VerdictEntry | undefined
    for (;;) {
      // Uses of a stale entry are taken once, and only where this node has none of its own to serve.
      const maxStaleUses = known === undefined && stale === undefined ? maxUses : 0
      const found = await mesh.lookup(key, { token, leaseMs, known, handler, maxUses, maxStaleUses })
      if (found.state === 'fresh' && !rules.accepts(found.entry, request))
        return { state: 'unavailable', token, stale, seen: found.seen }
      stale ??= this.#acceptedStale(found, request)
      if (stale !== undefined) flight.found(stale)
      const remaining = giveUpAt - clock.monotonic()
      if (found.state !== 'wait' || remaining <= 0) return { ...found, token, stale }
      if (!waited) metricsOf(handler).waited.add()
      waited = true
      await pause(clock, Math.min(remaining, pauseMs * (0.75 + random() / 2)))
      pauseMs = Math.min(50, pauseMs * 1.5)
    }
  }

  async #callBackend(
    key: string,
    request: VerdictRequest,
    plan: FlightPlan,
    flight: Flight,
    found: MeshFinding | undefined,
  ): Promise<FlightResult> {
    const { clock, mesh, rules } = this.#options
    const lease = found?.state === 'lease' ? found.token : undefined
    const stale = found?.stale
    const { handler } = request.source
    const startedAt = clock.monotonic()
    try {
      // The fetch serves whoever waits, so it has the handler's whole time, not the first caller's rest.
      const verdict = await request.source.fetch(request.instance, clock.monotonic() + handler.timeoutMs, key)
      const entry = rules.entryOf(verdict, handler, startedAt, flight.epoch)
      const reusable = entry.verdict.validForMs > 0 && entry.verdict.validUses > 0
      // A mesh tier that was not heard at the lookup cannot be told how old the verdict is.
      const seen = found?.seen
      if (mesh !== undefined && seen !== undefined) {
        const isShared = reusable && mesh.shares(entry.verdict)
        const uses = isShared ? this.#usesForMesh(entry) : 0
        const isWorthSharing = isShared && (uses > 0 || !isUseBound(entry.verdict))
        void mesh.fill(key, isWorthSharing ? entry : undefined, { token: lease ?? '', uses, seen })
        entry.usesLeft -= uses
      }
      if (reusable) this.#options.store(key, request, entry, plan.hasAsker)
      return { entry, tier: 'backend', stale }
    } catch (error) {
      if (lease !== undefined) void mesh?.fill(key, undefined, { token: lease, uses: 0 })
      // While the backend is away, what the mesh has is kept here too: the next request needs no look at Redis.
      if (stale !== undefined && stale !== plan.held) this.#options.store(key, request, stale, false)
      return { error: IntermixError.from(error), stale }
    }
  }

  /** Most uses are for the other nodes, and all of them where this one keeps no copy. */
  #usesForMesh({ usesLeft }: VerdictEntry): number {
    return this.#options.keeps ? Math.floor(usesLeft * (1 - HANDED_ON_SHARE)) : usesLeft
  }

  #acceptedStale(found: MeshLookup, request: VerdictRequest): VerdictEntry | undefined {
    const stale = found.state === 'lease' || found.state === 'wait' ? found.stale : undefined
    return stale !== undefined && this.#options.rules.accepts(stale, request) ? stale : undefined
  }
}
