// Caches whose sizes are fixed, for as long as the process has memory for them.

import type { Clock } from '../../kernel/ports.ts'
import type { YieldingCaches } from './memory-watch.ts'
import { Mover, type Resizable } from './mover.ts'

export class FixedSizes implements YieldingCaches {
  readonly mostBytes: number
  readonly #mover: Mover
  /** With what each may hold where memory is plenty. */
  readonly #caches: ReadonlyMap<Resizable, number>
  #allowed: number

  constructor(clock: Clock, caches: readonly Resizable[]) {
    this.#mover = new Mover(clock)
    this.#caches = new Map(caches.map((cache) => [cache, cache.maxBytes]))
    this.mostBytes = caches.reduce((total, { maxBytes }) => total + maxBytes, 0)
    this.#allowed = this.mostBytes
  }

  get allowedBytes(): number {
    return this.#allowed
  }

  get heldBytes(): number {
    let total = 0
    for (const { bytes } of this.#caches.keys()) total += bytes
    return total
  }

  /** All have less, or more, in proportion. */
  allow(bytes: number): void {
    this.#allowed = bytes
    const share = bytes / this.mostBytes
    this.#mover.move(new Map([...this.#caches].map(([cache, most]) => [cache, Math.floor(most * share)])))
  }

  stop(): void {
    this.#mover.stop()
  }
}
