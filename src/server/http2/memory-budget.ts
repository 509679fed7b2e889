// A bound on what peers make us keep of requests that have not come as a whole: of a connection, and of all together.

export class MemoryBudget {
  readonly #most: number
  readonly #parent: MemoryBudget | undefined
  #used = 0

  /** `most` is in bytes; what is taken here is taken of `parent` as well. */
  constructor(most: number, parent?: MemoryBudget) {
    this.#most = most
    this.#parent = parent
  }

  /** @returns false where there is no room for so many bytes more; then none are taken. */
  take(bytes: number): boolean {
    if (this.#used + bytes > this.#most || this.#parent?.take(bytes) === false) return false
    this.#used += bytes
    return true
  }

  give(bytes: number): void {
    this.#used -= bytes
    this.#parent?.give(bytes)
  }

  get used(): number {
    return this.#used
  }
}
