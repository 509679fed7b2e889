// The verdict cache's own metrics, resolved per handler once.

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
  const refused = meter.counter({
    name: 'cache_refused_total',
    help: 'Entries that a cache did not take, by reason: too large for it, or too many reads behind an answer.',
    labels: ['cache', 'reason'],
  })
  return { size: refused(cache, 'too_large'), reads: refused(cache, 'too_many_reads') }
}

/** Resolves a handler's series; ask once per handler. */
export function createCacheMetrics(meter: Meter): (handler: string) => HandlerCacheMetrics {
  const served = meter.counter({
    name: 'cache_verdicts_total',
    help: 'Verdicts of handlers that call a backend, by the tier that gave them; none: there was no verdict.',
    labels: ['handler', 'tier'],
  })
  const coalesced = meter.counter({
    name: 'cache_coalesced_total',
    help: 'Checks that joined a call that was already under way.',
    labels: ['handler'],
  })
  const refreshed = meter.counter({
    name: 'cache_refreshed_total',
    help: 'Verdicts refreshed in the background before they were needed.',
    labels: ['handler'],
  })
  const unwatched = meter.counter({
    name: 'cache_refresh_dropped_total',
    help: 'Verdicts that are not refreshed ahead of need because too many are watched already.',
    labels: ['handler'],
  })
  const revoked = meter.counter({
    name: 'cache_revoked_total',
    help: 'Cached verdicts that were not served because they had been revoked.',
    labels: ['handler'],
  })
  const waited = meter.counter({
    name: 'cache_lease_waits_total',
    help: 'Fetches that waited for another node to fetch the same verdict.',
    labels: ['handler'],
  })
  const known = new Map<string, HandlerCacheMetrics>()
  return (handler) => {
    let metrics = known.get(handler)
    if (metrics === undefined) {
      metrics = {
        served: {
          local: served(handler, 'local'),
          mesh: served(handler, 'mesh'),
          backend: served(handler, 'backend'),
          stale: served(handler, 'stale'),
          none: served(handler, 'none'),
        },
        coalesced: coalesced(handler),
        refreshed: refreshed(handler),
        unwatched: unwatched(handler),
        revoked: revoked(handler),
        waited: waited(handler),
      }
      known.set(handler, metrics)
    }
    return metrics
  }
}
