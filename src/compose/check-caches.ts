// The caches of a process: whole answers, and verdicts of handlers. Of a fixed size, half for each, or sharing a memory that they
// divide by what it saves.

import { AnswerCache } from '../cache/answer-cache.ts'
import { createRefusals } from '../cache/cache-metrics.ts'
import { LocalTier, type LocalTiers, sharedTier } from '../cache/local-tier.ts'
import type { Revocations } from '../cache/revocations.ts'
import { CacheTuner, WATCHED_SHARE } from '../cache/tuning/cache-tuner.ts'
import { FixedSizes } from '../cache/tuning/fixed-sizes.ts'
import { MemoryWatch, type YieldingCaches } from '../cache/tuning/memory-watch.ts'
import { TunedTiers } from '../cache/tuning/tuned-tiers.ts'
import { CACHE_EVICTED_TOTAL } from '../kernel/metrics/cache.ts'
import type { Clock, Logger, Meter, ProcessMemory } from '../kernel/ports.ts'

export interface CacheOptions {
  /** Whether whole answers are kept in the process. */
  readonly answers: boolean
  /** Whether single verdicts are kept in the process. */
  readonly verdicts: boolean
  /** Bounds of both together, where they do not share a memory. */
  readonly maxEntries: number
  readonly maxBytes: number
  /** The memory that they share, in place of these bounds. */
  readonly tuning?: TuningChoices | undefined
  /** Background refreshes of one handler per second. */
  readonly refreshesPerSecond: number
}

export interface TuningChoices {
  readonly memoryBytes: number
  /** Waiting, in seconds, that one unit of `costPerCall` is worth. */
  readonly secondsPerUnit: number
}

export interface CheckCachesOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly cache: CacheOptions
  readonly revocations: Revocations
  maxAgeMs(): number
  /** What a call of a handler's backend costs in money. */
  costPerCall(handler: string): number
  /** Caches give memory back where little of it is left; unset, they keep what they may have. */
  readonly memory?: ProcessMemory | undefined
}

/** What is held of verdicts in this process. */
export interface HeldVerdicts extends LocalTiers {
  readonly size: number
  readonly bytes: number
}

export interface CheckCaches {
  readonly answers: AnswerCache | undefined
  readonly verdicts: HeldVerdicts | undefined
  /** What may be kept now to refresh verdicts with, in bytes. */
  maxWatchedBytes(): number
  /** Hear of what was not found: how long it took, and whether a backend was called. */
  readonly answerMissed: ((ms: number) => void) | undefined
  readonly verdictMissed: ((handler: string, ms: number, isCall: boolean) => void) | undefined
  /** Divides the memory; `undefined` where sizes are fixed. */
  readonly tuner: CacheTuner | undefined
  start(): void
  stop(): void
}

/** Shares of the cache's entries, and of its bytes, where they are fixed; the rest is for what verdicts are refreshed with. */
const ANSWER_SHARE = 0.5
const ANSWER_BYTES_SHARE = 0.45
const VERDICT_BYTES_SHARE = 0.35

export function createCheckCaches(options: CheckCachesOptions): CheckCaches {
  const { tuning } = options.cache
  return tuning === undefined ? fixedCaches(options) : tunedCaches(options, tuning)
}

function fixedCaches(options: CheckCachesOptions): CheckCaches {
  const { cache, clock } = options
  const maxEntries = Math.max(1, Math.floor(cache.maxEntries * ANSWER_SHARE))
  const answerBytes = Math.floor(cache.maxBytes * ANSWER_BYTES_SHARE)
  const verdictBytes = Math.floor(cache.maxBytes * VERDICT_BYTES_SHARE)
  const tier = cache.verdicts
    ? new LocalTier({ maxEntries, maxBytes: verdictBytes, ...partsOf(options).verdicts })
    : undefined
  const answers = cache.answers
    ? new AnswerCache({ maxEntries, maxBytes: answerBytes, ...partsOf(options).answers })
    : undefined
  const sizes = new FixedSizes(
    clock,
    [answers, tier].filter((each) => each !== undefined),
  )
  const watch = memoryWatch(options, sizes)
  return {
    answers,
    verdicts: tier && {
      ...sharedTier(tier),
      get size() {
        return tier.size
      },
      get bytes() {
        return tier.bytes
      },
    },
    maxWatchedBytes: () => allowedOf(sizes, cache.maxBytes - answerBytes - verdictBytes),
    answerMissed: undefined,
    verdictMissed: undefined,
    tuner: undefined,
    start: () => watch?.start(),
    stop() {
      watch?.stop()
      sizes.stop()
    },
  }
}

function tunedCaches(options: CheckCachesOptions, { memoryBytes, secondsPerUnit }: TuningChoices): CheckCaches {
  const { cache, clock, log } = options
  const parts = partsOf(options)
  const costPerCall = (handler: string) => options.costPerCall(handler)
  const tuner = new CacheTuner({ clock, log, memoryBytes, secondsPerUnit, costPerCall })
  const answers = cache.answers
    ? tuner.join('answers', 'answers', (maxBytes, watch) => {
        return new AnswerCache({ maxEntries: Number.POSITIVE_INFINITY, maxBytes, watch, ...parts.answers })
      })
    : undefined
  const verdicts = cache.verdicts ? new TunedTiers({ clock, tuner, ...parts.verdicts }) : undefined
  const watch = memoryWatch(options, tuner)
  return {
    answers: answers?.cache,
    verdicts,
    maxWatchedBytes: () => allowedOf(tuner, memoryBytes * WATCHED_SHARE),
    answerMissed: answers && ((ms) => answers.costs.record(ms, false)),
    verdictMissed: verdicts && ((handler, ms, isCall) => verdicts.missed(handler, ms, isCall)),
    tuner,
    start() {
      tuner.start()
      verdicts?.start()
      watch?.start()
    },
    stop() {
      watch?.stop()
      tuner.stop()
      verdicts?.stop()
    },
  }
}

/** Watches the memory of the process for caches, where it is known and there are any. */
function memoryWatch({ clock, log, meter, memory }: CheckCachesOptions, caches: YieldingCaches) {
  return memory && caches.mostBytes > 0 ? new MemoryWatch({ clock, log, meter, memory, caches }) : undefined
}

/** Of what goes with caches, what may be used now. */
function allowedOf({ allowedBytes, mostBytes }: YieldingCaches, bytes: number): number {
  return mostBytes === 0 ? bytes : Math.floor((bytes * allowedBytes) / mostBytes)
}

/** What both kinds of caches are made with, whatever their size. */
function partsOf({ meter, revocations, ...options }: CheckCachesOptions) {
  const evicted = meter.counter(CACHE_EVICTED_TOTAL)
  const [evictedAnswers, evictedVerdicts] = [evicted({ grain: 'answer' }), evicted({ grain: 'verdict' })]
  return {
    answers: {
      revocations,
      maxAgeMs: () => options.maxAgeMs(),
      onEvict: () => evictedAnswers.add(),
      refused: createRefusals(meter, 'answer'),
    },
    verdicts: { onEvict: () => evictedVerdicts.add(), refused: createRefusals(meter, 'verdict').size },
  }
}
