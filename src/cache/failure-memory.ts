// Remembers for a short while that a backend gave no verdict on a key, so that a dead backend is probed and not stormed.

import { LRUCache } from 'lru-cache'
import type { IntermixError } from '../kernel/errors.ts'
import type { Clock, Random } from '../kernel/ports.ts'

/** Why a key is left alone, and whether a stale verdict was there to be served instead. */
export interface Failure {
  readonly error: IntermixError
  readonly hasStaleCopy: boolean
  readonly count: number
  readonly until: number
}

const MAX_KEYS = 10_000
/** With a stale copy to serve, a failed key rests 1 s, doubling to 30 s; without one, a tenth of that. */
const BASE_MS = 1_000
const MAX_MS = 30_000

export class FailureMemory {
  readonly #failures = new LRUCache<string, Failure>({ max: MAX_KEYS })
  readonly #clock: Clock
  readonly #random: Random

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** The failure that forbids asking again now; `undefined` when the backend may be asked. */
  recent(key: string): Failure | undefined {
    const failure = this.#failures.get(key)
    return failure !== undefined && this.#clock.monotonic() < failure.until ? failure : undefined
  }

  failed(key: string, error: IntermixError, hasStaleCopy: boolean): void {
    const count = (this.#failures.peek(key)?.count ?? 0) + 1
    const rest = Math.min(MAX_MS, BASE_MS * 2 ** Math.min(count - 1, 10)) * (hasStaleCopy ? 1 : 0.1)
    this.#failures.set(key, {
      error,
      hasStaleCopy,
      count,
      until: this.#clock.monotonic() + rest * (0.5 + this.#random() / 2),
    })
  }

  succeeded(key: string): void {
    this.#failures.delete(key)
  }

  clear(): void {
    this.#failures.clear()
  }
}
