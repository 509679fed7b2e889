// Puts together what answers checks: caches, revocations, handlers and rules.

import { AnswerCache } from '../cache/answer-cache.ts'
import { createRefusals } from '../cache/cache-metrics.ts'
import { KeyCardinality } from '../cache/key-cardinality.ts'
import { LocalTier } from '../cache/local-tier.ts'
import { MeshTier } from '../cache/mesh-tier.ts'
import { Protection } from '../cache/protection.ts'
import { type RevocationTarget, Revocations } from '../cache/revocations.ts'
import { type RevocationReceipt, RevocationService } from '../cache/revocation-service.ts'
import { VerdictCache } from '../cache/verdict-cache.ts'
import type { Settings } from '../settings/settings.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { within } from '../kernel/deadline.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { CheckService } from '../kernel/services.ts'
import { CheckEngine } from '../policy/check-engine.ts'
import { CheckLog } from '../policy/check-log.ts'
import { createCheckMetrics } from '../policy/check-metrics.ts'
import { normalTarget, NormalizingCheck } from '../policy/normalizing-check.ts'
import type { PolicyState } from '../policy/policy-state.ts'
import type { RedisLink } from '../redis/connection.ts'

export interface PolicyOptions {
  readonly settings: Settings
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  readonly cacheLink: RedisLink | undefined
  readonly queueLink: RedisLink | undefined
  readonly state: () => PolicyState | undefined
}

export interface Policy {
  /** Answers the checks of every door. */
  readonly check: CheckService
  /** A bag as rules see it, and as they see it too. @throws IntermixError INVALID_REQUEST where it is ambiguous. */
  readings(bag: AttributeBag): readonly [AttributeBag, AttributeBag?]
  readonly verdicts: VerdictCache
  /** Voids what depended on a value, in whichever spelling the value is given. Rejects as the service does. */
  revoke(target: RevocationTarget): Promise<RevocationReceipt>
  readonly debug: ReadonlyMap<string, () => unknown>
  start(): Promise<void>
  stop(): void
}

/** Shares of the cache's bounds: whole answers, and single verdicts. */
const ANSWER_SHARE = 0.5
const GAUGE_MS = 5_000
const CONNECT_PATIENCE_MS = 1_000

export function createPolicy(options: PolicyOptions): Policy {
  const { settings, clock, random, log, meter, cacheLink, queueLink, state } = options
  const { nodeId, redisPrefix: prefix } = settings
  const revocations = new Revocations()
  const service = new RevocationService({
    revocations,
    link: queueLink ?? cacheLink,
    clock,
    log,
    meter,
    prefix,
    nodeId,
    partitionMaxAgeMs: settings.partitionMaxAgeMs,
  })
  const maxAgeMs = () => service.maxAgeMs()
  const bounds = {
    maxEntries: Math.max(1, Math.floor(settings.cacheMaxEntries * ANSWER_SHARE)),
    maxBytes: Math.floor(settings.cacheMaxBytes * ANSWER_SHARE),
  }
  const evicted = meter.counter({
    name: 'cache_evicted_total',
    help: 'Entries that were dropped to make room, by grain: whole answers or single verdicts.',
    labels: ['grain'],
  })
  const evictedAnswers = evicted('answer')
  const evictedVerdicts = evicted('verdict')
  const answers = settings.cacheLocal
    ? new AnswerCache({
        ...bounds,
        revocations,
        maxAgeMs,
        onEvict: () => evictedAnswers.add(),
        refused: createRefusals(meter, 'answer'),
      })
    : undefined
  const refused = createRefusals(meter, 'verdict').size
  const local = settings.cacheLocal
    ? new LocalTier({ ...bounds, onEvict: () => evictedVerdicts.add(), refused })
    : undefined
  const mesh =
    settings.cacheMesh && cacheLink !== undefined
      ? new MeshTier({ link: cacheLink, clock, meter, prefix, nodeId })
      : undefined
  const protection = new Protection(clock, meter)
  const verdicts = new VerdictCache({
    clock,
    random,
    meter,
    local,
    mesh,
    revocations,
    protection,
    cardinality: new KeyCardinality(log, meter),
    maxAgeMs,
    refreshesPerSecond: settings.cacheRefreshRate,
  })
  const engine = new CheckEngine({
    clock,
    metrics: createCheckMetrics(meter),
    log: new CheckLog(log),
    verdicts,
    answers,
    revocations,
    state,
  })
  const allowed = new Set(settings.allowAmbiguousPaths)
  const normalizing =
    settings.requestSpelling === 'normal' ? new NormalizingCheck({ check: engine, allowed, meter }) : undefined
  const entries = meter.gauge({ name: 'cache_entries', help: 'Entries of the local tier.', labels: ['grain'] })
  const bytes = meter.gauge({ name: 'cache_bytes', help: 'Bytes of the local tier, estimated.', labels: ['grain'] })
  let cancel: (() => void) | undefined
  const measure = () => {
    entries('answer').set(answers?.size ?? 0)
    entries('verdict').set(local?.size ?? 0)
    bytes('answer').set(answers?.bytes ?? 0)
    bytes('verdict').set(local?.bytes ?? 0)
    protection.read()
    cancel = clock.after(GAUGE_MS, measure)
  }
  return {
    check: normalizing ?? engine,
    readings: (bag) => normalizing?.readings(bag) ?? [bag],
    verdicts,
    revoke: async (target) => await service.revoke(normalizing === undefined ? target : normalTarget(target, allowed)),
    debug: new Map<string, () => unknown>([
      [
        'cache',
        () => ({
          answers: answers === undefined ? 'off' : { entries: answers.size, bytes: answers.bytes },
          verdicts: local === undefined ? 'off' : { entries: local.size, bytes: local.bytes },
          mesh: mesh === undefined ? 'off' : cacheLink?.state(),
          revocations: { ...revocations.epoch, inTouch: service.inTouch() },
          protection: Object.fromEntries(protection.read()),
        }),
      ],
    ]),
    async start() {
      await connected(queueLink ?? cacheLink, clock)
      await service.start()
      measure()
    },
    stop() {
      cancel?.()
      verdicts.stop()
      service.stop()
    },
  }
}

/** A moment's patience for Redis: what is fetched before the first word from the log of revocations is not shared. */
async function connected(link: RedisLink | undefined, clock: Clock): Promise<void> {
  if (link === undefined) return
  let unsubscribe = () => {}
  const up = new Promise<void>((resolve) => {
    unsubscribe = link.onUp(resolve)
  })
  await within(clock, CONNECT_PATIENCE_MS, up, () => undefined)
  unsubscribe()
}
