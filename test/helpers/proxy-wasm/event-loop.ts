// One thread of Envoy: what arrives while it does something waits until that is over, so a module is never entered again
// from what it calls.

export class EventLoop {
  readonly #waiting: (() => void)[] = []
  #isBusy = false

  /** Something happens in the thread, and then all that waited for it. */
  enter<T>(work: () => T): T {
    const result = this.#do(work)
    // One after the other: what floods the thread may be more than a stack holds.
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) this.#do(next)
    return result
  }

  /** As `enter`, or as a part of what happens. */
  within<T>(work: () => T): T {
    return this.#isBusy ? work() : this.enter(work)
  }

  /** At once where the thread does nothing. */
  post(work: () => void): void {
    if (this.#isBusy) this.#waiting.push(work)
    else this.enter(work)
  }

  #do<T>(work: () => T): T {
    if (this.#isBusy) throw new Error('the thread does something else')
    this.#isBusy = true
    try {
      return work()
    } finally {
      this.#isBusy = false
    }
  }
}
