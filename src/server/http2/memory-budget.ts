// A bound on what peers make us keep of requests that have not come as a whole: of a connection, and of all together.

export class MemoryBudget {
  readonly #most: number
  readonly #parent: MemoryBudget | undefined
  readonly #reserve: number
  #used = 0

  /**
   * `most` is in bytes; what is taken here is taken of `parent` as well, of which nobody gets more than half of what is left: so
   * whoever takes all that it can, some is left for the next one (Choudhury and Hahne, "Dynamic Queue Length Thresholds", 1998).
   * `reserve` of it is not for messages.
   */
  constructor(most: number, parent?: MemoryBudget, reserve = 0) {
    this.#most = most
    this.#parent = parent
    this.#reserve = reserve
  }

  /** For frames and header blocks. @returns false where there is no room for so many bytes more; then none are taken. */
  take(bytes: number): boolean {
    return this.#take(bytes, 0)
  }

  /** For messages, which leave the reserve to frames: without those the connection could not go on. */
  takeForMessage(bytes: number): boolean {
    return this.#take(bytes, this.#reserve)
  }

  give(bytes: number): void {
    this.#used -= bytes
    this.#parent?.give(bytes)
  }

  get used(): number {
    return this.#used
  }

  #take(bytes: number, reserve: number): boolean {
    const wanted = this.#used + bytes + reserve
    const parent = this.#parent
    if (wanted > this.#most || (parent !== undefined && wanted > (parent.#most - parent.#used) / 2)) return false
    this.#used += bytes
    if (parent !== undefined) parent.#used += bytes
    return true
  }
}
