// The verdict cache's own metrics, resolved per handler once.

import {
  CACHE_COALESCED_TOTAL,
  CACHE_LEASE_WAITS_TOTAL,
  CACHE_REFRESH_DROPPED_TOTAL,
  CACHE_REFRESHED_TOTAL,
  CACHE_REFUSED_TOTAL,
  CACHE_REVOKED_TOTAL,
  CACHE_VERDICTS_TOTAL,
} from '../kernel/metrics/cache.ts'
import type { Counter, Meter } from '../kernel/ports.ts'

export interface HandlerCacheMetrics {
  /** Verdicts served, by the tier that gave them. */
  readonly served: Readonly<Record<'local' | 'mesh' | 'backend' | 'stale' | 'none', Counter>>
  readonly coalesced: Counter
  readonly refreshed: Counter
  readonly unwatched: Counter
  readonly revoked: Counter
  readonly waited: Counter
}

/** What a cache did not keep: entries too large for it, and answers whose evaluation made too many reads. */
export interface Refusals {
  readonly size: Counter
  readonly reads: Counter
}

/** Resolves the series of one cache. */
export function createRefusals(meter: Meter, cache: 'answer' | 'verdict' | 'mesh'): Refusals {
  const refused = meter.counter(CACHE_REFUSED_TOTAL)
  return { size: refused({ cache, reason: 'too_large' }), reads: refused({ cache, reason: 'too_many_reads' }) }
}

/** The series of a handler. */
export type MetricsOf = (handler: { readonly name: string }) => HandlerCacheMetrics

/** Resolves a handler's series when it is first asked for, all at once: they begin at 0 together. */
export function createCacheMetrics(meter: Meter): MetricsOf {
  const served = meter.counter(CACHE_VERDICTS_TOTAL)
  const coalesced = meter.counter(CACHE_COALESCED_TOTAL)
  const refreshed = meter.counter(CACHE_REFRESHED_TOTAL)
  const unwatched = meter.counter(CACHE_REFRESH_DROPPED_TOTAL)
  const revoked = meter.counter(CACHE_REVOKED_TOTAL)
  const waited = meter.counter(CACHE_LEASE_WAITS_TOTAL)
  const resolve = (handler: string): HandlerCacheMetrics => ({
    served: {
      local: served({ handler, tier: 'local' }),
      mesh: served({ handler, tier: 'mesh' }),
      backend: served({ handler, tier: 'backend' }),
      stale: served({ handler, tier: 'stale' }),
      none: served({ handler, tier: 'none' }),
    },
    coalesced: coalesced({ handler }),
    refreshed: refreshed({ handler }),
    unwatched: unwatched({ handler }),
    revoked: revoked({ handler }),
    waited: waited({ handler }),
  })
  // By the handler itself: what belongs to a config that is gone goes with it.
  const byHandler = new WeakMap<object, HandlerCacheMetrics>()
  return (handler) => {
    let metrics = byHandler.get(handler)
    if (metrics === undefined) {
      metrics = resolve(handler.name)
      byHandler.set(handler, metrics)
    }
    return metrics
  }
}
