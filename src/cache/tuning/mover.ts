// Carries memory from caches to others while they are used: those that get less give way first, a little at a time, since a cache
// that drops a hundred thousand entries at once stalls its process.

import type { Clock } from '../../kernel/ports.ts'

/** A cache whose bound can be set. */
export interface Resizable {
  readonly bytes: number
  maxBytes: number
}

/** What is given up at once, and how often. */
const STEP_BYTES = 512 * 1024
const STEP_MS = 5

export class Mover {
  readonly #clock: Clock
  #targets: ReadonlyMap<Resizable, number> = new Map()
  #cancel: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The bound that a cache has, or is to have. */
  targetOf(cache: Resizable): number {
    return this.#targets.get(cache) ?? cache.maxBytes
  }

  /**
   * Sets bounds, from now on and not at once. Caches are never bounded by more, together, than before or afterwards. Moves that are
   * under way end where they are.
   */
  move(targets: ReadonlyMap<Resizable, number>): void {
    this.stop()
    this.#targets = targets
    this.#step()
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#targets = new Map()
  }

  #step(): void {
    this.#cancel = undefined
    let left = STEP_BYTES
    for (const [cache, target] of this.#targets) {
      if (cache.maxBytes <= target) continue
      if (left <= 0) return this.#later()
      // Room that nobody uses is given up for nothing.
      const spare = Math.max(0, cache.maxBytes - cache.bytes)
      const next = Math.max(target, cache.maxBytes - spare - left)
      left -= cache.maxBytes - spare - next
      cache.maxBytes = next
      if (next > target) return this.#later()
    }
    for (const [cache, target] of this.#targets) cache.maxBytes = target
    this.#targets = new Map()
  }

  #later(): void {
    this.#cancel = this.#clock.after(STEP_MS, () => this.#step())
  }
}
