// A bound on what peers make us keep of requests that have not come as a whole: of a connection, and of all together.

export class MemoryBudget {
  readonly #most: number
  readonly #parent: MemoryBudget | undefined
  readonly #reserve: number
  readonly #own: number
  #used = 0

  /**
   * `most` is in bytes; what is taken here is taken of `parent` as well, of which nobody gets more than half of what is left: so
   * whoever takes all that it can, some is left for the next one (Choudhury and Hahne, "Dynamic Queue Length Thresholds", 1998).
   * Many together leave nothing, so the first `own` bytes are taken of nobody. `reserve` of the whole and half of `own` are not for
   * messages.
   */
  constructor(most: number, parent?: MemoryBudget, { reserve = 0, own = 0 } = {}) {
    this.#most = most
    this.#parent = parent
    this.#reserve = reserve
    this.#own = own
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
    this.#use(this.#used - bytes)
  }

  get used(): number {
    return this.#used
  }

  #take(bytes: number, reserve: number): boolean {
    const used = this.#used + bytes
    if (used + reserve > this.#most || !(this.#isOwn(used, reserve) || this.#isLeft(used + reserve))) return false
    this.#use(used)
    return true
  }

  #isOwn(used: number, reserve: number): boolean {
    return used + Math.min(reserve, this.#own / 2) <= this.#own
  }

  #isLeft(wanted: number): boolean {
    const parent = this.#parent
    return parent === undefined || this.#shared(wanted) <= (parent.#most - parent.#used) / 2
  }

  #use(used: number): void {
    if (this.#parent !== undefined) this.#parent.#used += this.#shared(used) - this.#shared(this.#used)
    this.#used = used
  }

  #shared(used: number): number {
    return Math.max(0, used - this.#own)
  }
}
