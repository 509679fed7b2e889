// What the way to one backend is bounded by. An adapter declares what its backend wants otherwise than most.

/** How long a batch is tried, and how its tries are spread. All in milliseconds. */
export interface RetryLimits {
  /** Up to here, at random, before the second try; the bound doubles with each try. */
  readonly firstDelayMs: number
  /** What the bound stops growing at. */
  readonly maxDelayMs: number
  /** What has failed and is older, counted from when it was first queued, gets no further try. */
  readonly maxAgeMs: number
}

export interface ExportLimits {
  /** Instances that the adapter gets at once, at most. */
  readonly maxInstances: number
  /** Batches under way at once in one process, at most: fewer are while the backend has trouble. */
  readonly concurrency: number
  /** One batch at a time over all processes, in the order of the queue; one that fails holds up those behind it. */
  readonly ordered: boolean
  /**
   * Instances that may wait in memory, where there is no Redis; beyond it new batches are dropped, and counted. Default:
   * an equal share of what all handlers may hold together.
   */
  readonly queueInstances: number
  readonly retries: RetryLimits
}

/** What an adapter, or a process, wants otherwise. */
export type ExportWishes = Partial<Omit<ExportLimits, 'retries'>> & { readonly retries?: Partial<RetryLimits> }

export const DEFAULT_EXPORT_LIMITS: ExportLimits = {
  maxInstances: 1000,
  concurrency: 4,
  ordered: false,
  queueInstances: Number.POSITIVE_INFINITY,
  retries: { firstDelayMs: 1000, maxDelayMs: 60_000, maxAgeMs: 24 * 3_600_000 },
}

/** The limits that follow from wishes, the later ones before the earlier, and the defaults. */
export function exportLimits(...wishes: readonly (ExportWishes | undefined)[]): ExportLimits {
  let limits = DEFAULT_EXPORT_LIMITS
  for (const wish of wishes) limits = { ...limits, ...wish, retries: { ...limits.retries, ...wish?.retries } }
  return limits.ordered ? { ...limits, concurrency: 1 } : limits
}
