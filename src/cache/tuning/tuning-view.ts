// What is known of caches that share a memory, for people and for metrics.

export interface PartView {
  /** `answers`, or the full name of a handler. */
  readonly name: string
  readonly kind: 'answers' | 'verdicts'
  /** What it holds now, and may hold. */
  readonly bytes: number
  readonly maxBytes: number
  /** What it would hold if all moves were made. */
  readonly recommendedBytes: number
  readonly lookupsPerSecond: number
  /** Share of look-ups, 0 to 1. */
  readonly hitRatio: number
  /** Hits a second that one more MiB would bring. */
  readonly hitsPerMib: number
  /** What a miss costs: mean time, and calls of the backend. */
  readonly missMs: number
  readonly callsPerMiss: number
  readonly costPerCall: number
  /** Hit ratio by size, with its band of two standard errors. */
  readonly curve: readonly { readonly bytes: number; readonly hitRatio: number; readonly band: number }[]
  /** Since this process began. */
  readonly saved: Savings
}

export interface Savings {
  readonly hits: number
  readonly calls: number
  /** Time that callers would have waited, in seconds. */
  readonly seconds: number
  /** In the unit of `costPerCall`. */
  readonly money: number
}

export interface TuningView {
  /** All memory of the node's own cache in this process. */
  readonly memoryBytes: number
  /** What of it is divided; the rest is for refreshes ahead and for samples. */
  readonly dividedBytes: number
  /** What more would be divided, were the process not short of memory. */
  readonly givenBackBytes: number
  readonly sampleBytes: number
  /** What was decided last, or why nothing was. */
  readonly decision: string
  /** How often memory moved, was given up, and moved back. */
  readonly moves: Readonly<Record<'move' | 'shrink' | 'back', number>>
  readonly parts: readonly PartView[]
}
