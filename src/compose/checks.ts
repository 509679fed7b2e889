// The caches of checks and the engine that answers from them, put together the one way that there is: for a node, for a
// simulation of one and for load tools.

import { AnswerCache } from '../cache/answer-cache.ts'
import { createRefusals } from '../cache/cache-metrics.ts'
import { KeyCardinality } from '../cache/key-cardinality.ts'
import { LocalTier, sharedTier } from '../cache/local-tier.ts'
import { MeshTier } from '../cache/mesh-tier.ts'
import { Protection } from '../cache/protection.ts'
import type { Revocations } from '../cache/revocations.ts'
import { VerdictCache } from '../cache/verdict-cache.ts'
import { CACHE_BYTES, CACHE_ENTRIES, CACHE_EVICTED_TOTAL, CACHE_SHAPES } from '../kernel/metrics/cache.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { QuotaService } from '../kernel/services.ts'
import { CheckEngine } from '../policy/check-engine.ts'
import { CheckLog } from '../policy/check-log.ts'
import { createCheckMetrics } from '../policy/check-metrics.ts'
import { CheckPlans } from '../policy/check-plan.ts'
import { PolicyRequests } from '../policy/policy-request.ts'
import { QuotaEngine } from '../policy/quota-engine.ts'
import type { PolicyState } from '../policy/handler-table.ts'
import { RuleLimits } from '../policy/rule-limits.ts'
import type { RedisLink } from '../redis/connection.ts'

export interface CacheOptions {
  /** Whether whole answers are kept in the process. */
  readonly answers: boolean
  /** Whether single verdicts are kept in the process. */
  readonly verdicts: boolean
  /** Bounds of both together. */
  readonly maxEntries: number
  readonly maxBytes: number
  /** Background refreshes of one handler per second. */
  readonly refreshesPerSecond: number
}

export interface ChecksOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** The Redis of the mesh tier; `undefined` switches the tier off. */
  readonly mesh: RedisLink | undefined
  readonly prefix: string
  readonly nodeId: string
  readonly cache: CacheOptions
  readonly revocations: Revocations
  /** The oldest verdict that may be served now, in ms. */
  maxAgeMs(): number
  /** The current config; `undefined` before the first one is in. */
  state(): PolicyState | undefined
  /** A clock that all nodes share, for simulations; unless given, the Redis server's own. */
  readonly sharedNow?: () => number
}

export interface Checks {
  readonly engine: CheckEngine
  readonly quotas: QuotaService
  readonly requests: PolicyRequests
  readonly ruleLimits: RuleLimits
  readonly verdicts: VerdictCache
  /** Brings the gauges up to date. */
  measure(): void
  /** What the caches hold, for people. */
  view(): Readonly<Record<string, unknown>>
  stop(): void
}

/** Shares of the cache's entries: whole answers, and single verdicts. */
const ANSWER_SHARE = 0.5
/** Shares of its bytes; the rest is for what verdicts are refreshed with. */
const ANSWER_BYTES_SHARE = 0.45
const VERDICT_BYTES_SHARE = 0.35

/** Builds what answers checks. Nothing runs in the background but refreshes of what was asked for. */
export function createChecks(options: ChecksOptions): Checks {
  const { clock, random, log, meter, mesh: link, prefix, nodeId, cache, revocations } = options
  const maxAgeMs = () => options.maxAgeMs()
  const maxEntries = Math.max(1, Math.floor(cache.maxEntries * ANSWER_SHARE))
  const answerBytes = Math.floor(cache.maxBytes * ANSWER_BYTES_SHARE)
  const verdictBytes = Math.floor(cache.maxBytes * VERDICT_BYTES_SHARE)
  const maxWatchedBytes = cache.maxBytes - answerBytes - verdictBytes
  const evicted = meter.counter(CACHE_EVICTED_TOTAL)
  const evictedAnswers = evicted({ grain: 'answer' })
  const evictedVerdicts = evicted({ grain: 'verdict' })
  const answers = cache.answers
    ? new AnswerCache({
        maxEntries,
        maxBytes: answerBytes,
        revocations,
        maxAgeMs,
        onEvict: () => evictedAnswers.add(),
        refused: createRefusals(meter, 'answer'),
      })
    : undefined
  const refused = createRefusals(meter, 'verdict').size
  const local = cache.verdicts
    ? new LocalTier({ maxEntries, maxBytes: verdictBytes, onEvict: () => evictedVerdicts.add(), refused })
    : undefined
  const { sharedNow } = options
  const shared = sharedNow === undefined ? {} : { sharedNow }
  const mesh = link === undefined ? undefined : new MeshTier({ link, clock, meter, prefix, nodeId, ...shared })
  const protection = new Protection(clock, meter)
  const cardinality = new KeyCardinality(log, meter)
  const { refreshesPerSecond } = cache
  const tiers = { local: local && sharedTier(local), mesh, revocations, protection, cardinality }
  const verdicts = new VerdictCache({ clock, random, meter, ...tiers, maxAgeMs, refreshesPerSecond, maxWatchedBytes })
  const metrics = createCheckMetrics(meter)
  const { generationFailures } = metrics
  const plans = new CheckPlans(answers)
  const requests = new PolicyRequests({ clock, plans, generationFailures, state: () => options.state() })
  const quotas = new QuotaEngine(requests)
  const parts = { metrics, log: new CheckLog(log), verdicts, answers, revocations, requests, quotas }
  const engine = new CheckEngine({ clock, ...parts })
  const entries = meter.gauge(CACHE_ENTRIES)
  const bytes = meter.gauge(CACHE_BYTES)
  const shapes = meter.gauge(CACHE_SHAPES)()
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
    },
    view: () => ({
      answers: answers === undefined ? 'off' : { entries: answers.size, shapes: answers.shapes, bytes: answers.bytes },
      verdicts:
        local === undefined ? 'off' : { entries: local.size, bytes: local.bytes, watchedBytes: verdicts.watchedBytes },
      mesh: link === undefined ? 'off' : link.state(),
      protection: Object.fromEntries(protection.read()),
    }),
    stop: () => verdicts.stop(),
  }
}
