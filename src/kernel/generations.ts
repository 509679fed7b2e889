// What is remembered for a while, in bounded memory.

/**
 * Two generations: what was set lives between one and two periods. When too much comes in one period the generations change
 * early.
 */
export class Generations<T> {
  readonly #periodMs: number
  readonly #max: number
  #recent = new Map<string, T>()
  #old = new Map<string, T>()
  #changedAt = Number.NEGATIVE_INFINITY

  /** @param max entries of one generation */
  constructor(periodMs: number, max: number) {
    this.#periodMs = periodMs
    this.#max = max
  }

  /** @param now monotonic ms */
  get(key: string, now: number): T | undefined {
    this.#age(now)
    return this.#recent.get(key) ?? this.#old.get(key)
  }

  set(key: string, value: T, now: number): void {
    this.#age(now)
    if (this.#recent.size >= this.#max) this.#change(now)
    this.#recent.set(key, value)
  }

  #age(now: number): void {
    if (now - this.#changedAt < this.#periodMs) return
    if (now - this.#changedAt >= 2 * this.#periodMs) this.#recent = new Map()
    this.#change(now)
  }

  #change(now: number): void {
    this.#old = this.#recent
    this.#recent = new Map()
    this.#changedAt = now
  }
}
