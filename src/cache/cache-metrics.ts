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

/** Resolves a handler's series when it is first asked for, all at once: they begin at 0 together. */
export function createCacheMetrics(meter: Meter): (handler: { readonly name: string }) => HandlerCacheMetrics {
  const byHandler = new WeakMap<object, HandlerCacheMetrics>()
  return (handler) => {
    let metrics = byHandler.get(handler)
    if (metrics === undefined) {
      metrics = metricsOf(meter, handler.name)
      byHandler.set(handler, metrics)
    }
    return metrics
  }
}

function metricsOf(meter: Meter, handler: string): HandlerCacheMetrics {
  const served = meter.counter(CACHE_VERDICTS_TOTAL)
  return {
    served: {
      local: served({ handler, tier: 'local' }),
      mesh: served({ handler, tier: 'mesh' }),
      backend: served({ handler, tier: 'backend' }),
      stale: served({ handler, tier: 'stale' }),
      none: served({ handler, tier: 'none' }),
    },
    coalesced: meter.counter(CACHE_COALESCED_TOTAL)({ handler }),
    refreshed: meter.counter(CACHE_REFRESHED_TOTAL)({ handler }),
    unwatched: meter.counter(CACHE_REFRESH_DROPPED_TOTAL)({ handler }),
    revoked: meter.counter(CACHE_REVOKED_TOTAL)({ handler }),
    waited: meter.counter(CACHE_LEASE_WAITS_TOTAL)({ handler }),
  }
}
