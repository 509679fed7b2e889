// The caches of checks and the engine that answers from them, put together the one way that there is: for a node, for a
// simulation of one and for load tools.

import { KeyCardinality } from '../cache/key-cardinality.ts'
import { MeshTier } from '../cache/mesh-tier.ts'
import { Protection } from '../cache/protection.ts'
import type { Revocations } from '../cache/revocations.ts'
import { createTuningMetrics } from '../cache/tuning/tuning-metrics.ts'
import type { TuningView } from '../cache/tuning/tuning-view.ts'
import { type HandlerValidity, ValidityAdvice } from '../cache/tuning/validity-advice.ts'
import { VerdictCache } from '../cache/verdict-cache.ts'
import type { MeshSeal } from '../kernel/mesh-signatures.ts'
import { CACHE_BYTES, CACHE_ENTRIES, CACHE_SHAPES } from '../kernel/metrics/cache.ts'
import type { Clock, Logger, Meter, ProcessMemory, Random } from '../kernel/ports.ts'
import type { QuotaService } from '../kernel/services.ts'
import { CheckEngine } from '../policy/check-engine.ts'
import { CheckLog } from '../policy/check-log.ts'
import { createCheckMetrics } from '../policy/check-metrics.ts'
import type { CheckObserver } from '../policy/check-observer.ts'
import { CheckPlans } from '../policy/check-plan.ts'
import { PolicyRequests } from '../policy/policy-request.ts'
import { QuotaEngine } from '../policy/quota-engine.ts'
import type { PolicyState } from '../policy/handler-table.ts'
import { RuleLimits } from '../policy/rule-limits.ts'
import type { Trial } from '../policy/trial.ts'
import type { RedisLink } from '../redis/connection.ts'
import { type CacheOptions, createCheckCaches } from './check-caches.ts'

export interface ChecksOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** The Redis of the mesh tier; `undefined` switches the tier off. */
  readonly mesh: RedisLink | undefined
  /** Signs what this node leaves there; `undefined`: nodes have no key in common. */
  readonly seal?: MeshSeal | undefined
  readonly prefix: string
  readonly nodeId: string
  readonly cache: CacheOptions
  readonly revocations: Revocations
  /** The oldest verdict that may be served now, in ms. */
  maxAgeMs(): number
  /** The current config; `undefined` before the first one is in. */
  state(): PolicyState | undefined
  /** `undefined` while the current config is not on trial. */
  readonly trial?: (() => Trial | undefined) | undefined
  /** Who watches checks; `undefined` where nobody does. */
  readonly observer?: CheckObserver | undefined
  /** A clock that all nodes share, for simulations; unless given, the Redis server's own. */
  readonly sharedNow?: () => number
  /** Caches give memory back where little of it is left; unless given, they keep what they may have. */
  readonly memory?: ProcessMemory | undefined
}

export interface ChecksTuning {
  /** `undefined` where sizes are fixed. */
  readonly memory: TuningView | undefined
  readonly validity: readonly HandlerValidity[]
}

export interface Checks {
  readonly engine: CheckEngine
  readonly quotas: QuotaService
  readonly requests: PolicyRequests
  readonly ruleLimits: RuleLimits
  readonly verdicts: VerdictCache
  /** What is known of the sizes of caches, where they are tuned, and of how long verdicts should be valid. */
  tuning(): ChecksTuning
  /** Brings the gauges up to date. */
  measure(): void
  /** Begins to divide memory. */
  start(): void
  /** What the caches hold, for people. */
  view(): Readonly<Record<string, unknown>>
  stop(): void
}

/** Builds what answers checks. Nothing runs in the background but refreshes of what was asked for. */
export function createChecks(options: ChecksOptions): Checks {
  const { clock, random, log, meter, mesh: link, seal, prefix, nodeId, cache, revocations, memory } = options
  const maxAgeMs = () => options.maxAgeMs()
  const costPerCall = (handler: string) => options.state()?.snapshot.handlers.get(handler)?.costPerCall ?? 0
  const caches = createCheckCaches({ clock, log, meter, cache, revocations, maxAgeMs, costPerCall, memory })
  const { answers, verdicts: local, tuner } = caches
  const maxWatchedBytes = () => caches.maxWatchedBytes()
  const { sharedNow } = options
  const shared = sharedNow === undefined ? {} : { sharedNow }
  const mesh = link === undefined ? undefined : new MeshTier({ link, seal, clock, meter, prefix, nodeId, ...shared })
  const protection = new Protection(clock, meter)
  const cardinality = new KeyCardinality(log, meter)
  const validity = new ValidityAdvice()
  const { refreshesPerSecond } = cache
  const { verdictMissed: missed, answerMissed } = caches
  const tiers = { local, mesh, revocations, protection, cardinality, missed, validity }
  const verdicts = new VerdictCache({ clock, random, meter, ...tiers, maxAgeMs, refreshesPerSecond, maxWatchedBytes })
  const metrics = createCheckMetrics(meter)
  const { generationFailures } = metrics
  const plans = new CheckPlans(answers)
  const requests = new PolicyRequests({ clock, plans, generationFailures, state: () => options.state() })
  const quotas = new QuotaEngine(requests)
  const { observer } = options
  const { trial } = options
  const answering = { verdicts, answers, answerMissed, observer, trial }
  const parts = { metrics, log: new CheckLog(log), ...answering, revocations, requests, quotas }
  const engine = new CheckEngine({ clock, ...parts })
  const entries = meter.gauge(CACHE_ENTRIES)
  const bytes = meter.gauge(CACHE_BYTES)
  const shapes = meter.gauge(CACHE_SHAPES)()
  const measureTuning = tuner && createTuningMetrics(meter)
  return {
    engine,
    quotas,
    requests,
    ruleLimits: new RuleLimits({ clock, metrics, state: () => options.state() }),
    verdicts,
    measure() {
      entries({ grain: 'answer' }).set(answers?.size ?? 0)
      entries({ grain: 'verdict' }).set(local?.size ?? 0)
      shapes.set(answers?.shapes ?? 0)
      bytes({ grain: 'answer' }).set(answers?.bytes ?? 0)
      bytes({ grain: 'verdict' }).set((local?.bytes ?? 0) + verdicts.watchedBytes)
      protection.read()
      if (tuner !== undefined) measureTuning?.(tuner.view())
    },
    tuning: () => ({ memory: tuner?.view(), validity: validity.view() }),
    view: () => ({
      answers: answers === undefined ? 'off' : { entries: answers.size, shapes: answers.shapes, bytes: answers.bytes },
      verdicts:
        local === undefined ? 'off' : { entries: local.size, bytes: local.bytes, watchedBytes: verdicts.watchedBytes },
      mesh: link === undefined ? 'off' : link.state(),
      protection: Object.fromEntries(protection.read()),
    }),
    start: () => caches.start(),
    stop() {
      caches.stop()
      verdicts.stop()
    },
  }
}
