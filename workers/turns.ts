// Turns at one thing for several who would each do as much: no more at once than it bears together, first come, first served.

import { Fifo } from '../src/telemetry/fifo.ts'

interface Waiting {
  readonly go: () => void
}

export class Turns {
  readonly #waiting = new Fifo<Waiting>()
  #most: number
  #taken = 0

  /** @param most turns at once */
  constructor(most: number) {
    this.#most = most
  }

  /** More are given at once; fewer as those end that there are. */
  set most(most: number) {
    this.#most = most
    this.#give()
  }

  /** Runs a task once it has a turn. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#taken < this.#most && this.#waiting.length === 0) this.#taken++
    else await new Promise<void>((go) => this.#waiting.push({ go }))
    try {
      return await task()
    } finally {
      this.#taken--
      this.#give()
    }
  }

  #give(): void {
    while (this.#taken < this.#most) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#taken++
      next.go()
    }
  }
}
