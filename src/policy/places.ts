// Places at a backend: as many calls hold one as it bears at once, some more wait for one, and who is given up leaves his
// without having ended.

import type { BackendHealth } from './backend-health.ts'
import { ConcurrencyLimit } from './concurrency-limit.ts'
import type { GuardMetrics } from './guard-metrics.ts'

export interface PlaceLimits {
  /** Concurrent calls to begin with. Default 20. */
  readonly initialConcurrency?: number
  /** Concurrent calls at most. Default 200. */
  readonly maxConcurrency?: number
  /** Calls that may wait for a free place. Default 100. */
  readonly maxQueue?: number
  /** Calls that were given up and have not ended; beyond it nothing more is begun. Default 1000. */
  readonly maxAbandoned?: number
}

export class Places {
  readonly limit: ConcurrencyLimit
  readonly #health: BackendHealth
  readonly #metrics: GuardMetrics
  readonly #maxQueue: number
  readonly #maxAbandoned: number
  readonly #waiting: (() => void)[] = []
  #taken = 0
  #abandoned = 0

  constructor(limits: PlaceLimits, health: BackendHealth, metrics: GuardMetrics) {
    const { initialConcurrency: initial = 20, maxConcurrency: max = 200, maxQueue = 100, maxAbandoned = 1_000 } = limits
    this.limit = new ConcurrencyLimit({ initial, max })
    this.#health = health
    this.#metrics = metrics
    this.#maxQueue = maxQueue
    this.#maxAbandoned = maxAbandoned
    metrics.limit(this.limit.current)
  }

  get taken(): number {
    return this.#taken
  }

  /** While a probe finds out whether the backend is back, others wait for what it finds. */
  get isFree(): boolean {
    return this.#taken < this.limit.current && !this.#health.probing
  }

  get isQueueFull(): boolean {
    return this.#waiting.length >= this.#maxQueue
  }

  /** Whether too many calls hang. */
  get isHung(): boolean {
    return this.#abandoned >= this.#maxAbandoned
  }

  take(): void {
    this.#taken += 1
  }

  /** Exactly once for each place that was taken: the call has ended or was given up. */
  leave(): void {
    this.#taken -= 1
    this.#metrics.limit(this.limit.current)
    // A call that begins may end at once and come back here: the loop then finds fewer waiting.
    while (this.#waiting.length > 0 && this.isFree) this.#waiting.shift()?.()
  }

  /** Calls `begin` when there is a place for it, unless the returned function is called before. */
  wait(begin: () => void): () => void {
    this.#waiting.push(begin)
    return () => void this.#waiting.splice(this.#waiting.indexOf(begin), 1)
  }

  /** A call was given up; `ended` is to follow. */
  abandon(): void {
    this.#abandoned += 1
  }

  /** What was given up has ended at last. */
  ended(): void {
    this.#abandoned -= 1
  }
}
