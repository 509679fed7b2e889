// Metrics of handlers: their calls, and what single adapters count.

import { counter, gauge, histogram } from './define.ts'
import { HANDLER } from './labels.ts'

export const HANDLER_CALLS_TOTAL = counter({
  name: 'handler_calls_total',
  unit: 'calls',
  help: 'Calls of a handler, by how they ended',
  labels: {
    handler: HANDLER,
    outcome: ['ok', 'failed', 'timeout', 'stalled', 'overloaded', 'throttled', 'open'],
  },
})

export const HANDLER_DURATION_SECONDS = histogram({
  name: 'handler_duration_seconds',
  unit: 'seconds',
  help: 'Duration of the handler calls that had to be awaited, retries included',
  labels: { handler: HANDLER },
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
})

export const HANDLER_BREAKER_STATE = gauge({
  name: 'handler_breaker_state',
  unit: '0, 1 or 2',
  merge: 'max',
  help: '0 closed, 1 half open, 2 open',
  labels: { handler: HANDLER },
})

export const HANDLER_CONCURRENCY_LIMIT = gauge({
  name: 'handler_concurrency_limit',
  unit: 'calls',
  merge: 'sum',
  help: 'Calls a handler may have in flight',
  labels: { handler: HANDLER },
})

export const MEMQUOTA_REFUSED_TOTAL = counter({
  name: 'memquota_refused_total',
  unit: 'calls',
  help: 'Quota calls without a verdict because all counters of the handler were in use; see maxCounters.',
  labels: { handler: HANDLER },
})

export const PROMETHEUS_ADAPTER_EXCEPTIONS_TOTAL = counter({
  name: 'prometheus_adapter_exceptions_total',
  unit: 'instances',
  help: 'Instances that the prometheus adapter could not count, and label sets of a batch that it folded into an overflow series or whose metric was defined otherwise when they were added up.',
  labels: {
    handler: HANDLER,
    reason: ['unknown-instance', 'no-number', 'negative-counter', 'cardinality', 'obsolete-definition'],
  },
})

export const PROMETHEUS_ADAPTER_SERIES = gauge({
  name: 'prometheus_adapter_series',
  unit: 'series',
  merge: 'sum',
  help: 'Series that the prometheus adapter offered at the latest scrape of this process; a histogram is one',
  labels: { handler: HANDLER },
})

export const PROMETHEUS_ADAPTER_STALE_SECONDS = gauge({
  name: 'prometheus_adapter_stale_seconds',
  unit: 'seconds',
  merge: 'max',
  help: 'How long, at the latest scrape, Redis had not confirmed that the exposed counts are those of this process',
  labels: { handler: HANDLER },
})
