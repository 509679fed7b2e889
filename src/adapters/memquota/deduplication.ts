// Remembers grants by deduplication id for a while, so that a repeated call is not charged twice.

const MOST_ENTRIES = 100_000

/**
 * Two generations of answers: each one lives between one and two periods. When too many come in one period the
 * generations change early, so memory stays bounded.
 */
export class Deduplication<T> {
  readonly #periodMs: number
  #recent = new Map<string, T>()
  #old = new Map<string, T>()
  #changedAt = 0

  constructor(periodMs: number) {
    this.#periodMs = periodMs
  }

  get(id: string, now: number): T | undefined {
    this.#age(now)
    return this.#recent.get(id) ?? this.#old.get(id)
  }

  set(id: string, value: T, now: number): void {
    this.#age(now)
    if (this.#recent.size >= MOST_ENTRIES) this.#change(now)
    this.#recent.set(id, value)
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
