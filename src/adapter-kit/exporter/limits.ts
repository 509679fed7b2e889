// What the way to one backend is bounded by. An adapter declares what its backend wants otherwise than most.

/** How often a batch is tried, and the delay before the second try; it doubles each time, less up to half at random. */
export interface RetryLimits {
  readonly attempts: number
  readonly firstDelayMs: number
}

export interface ExportLimits {
  /** Instances that the adapter gets at once, at most. */
  readonly maxInstances: number
  /** Batches under way at once in one process. */
  readonly concurrency: number
  /** Instances that may wait in memory, where there is no Redis. Beyond it new batches are dropped, and counted. */
  readonly queueInstances: number
  readonly retries: RetryLimits
}

/** In memory, all handlers together have a bound besides: where it is reached the node holds reports back. */
export const DEFAULT_EXPORT_LIMITS: ExportLimits = {
  maxInstances: 1000,
  concurrency: 4,
  queueInstances: Number.POSITIVE_INFINITY,
  retries: { attempts: 8, firstDelayMs: 1000 },
}
