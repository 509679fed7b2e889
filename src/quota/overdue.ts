// Servers that owe an answer: whoever would wait for them is better answered at once, by what this process knows.

import type { Clock } from '../kernel/ports.ts'

/** How soon a server that gave no answer is asked again. */
const AGAIN_MS = 20

export interface OverdueOptions {
  readonly clock: Clock
  /** Whether servers can be asked at all: where not, that is known without us. */
  readonly isConnected: () => boolean
}

export class Overdue {
  readonly #options: OverdueOptions
  /** Each with what asks it, which is one at a time. */
  readonly #servers = new Map<string, () => Promise<unknown>>()

  constructor(options: OverdueOptions) {
    this.#options = options
  }

  has(server: string): boolean {
    return this.#servers.size > 0 && this.#servers.has(server)
  }

  /** It gave no answer in time. @param ask asks it for something that changes nothing */
  missed(server: string, ask: () => Promise<unknown>): void {
    if (this.#servers.has(server)) return
    this.#servers.set(server, ask)
    this.#askSoon(server, ask)
  }

  answered(server: string): void {
    if (this.#servers.size > 0) this.#servers.delete(server)
  }

  #askSoon(server: string, ask: () => Promise<unknown>): void {
    const { clock, isConnected } = this.#options
    clock.after(AGAIN_MS, () => {
      if (this.#servers.get(server) !== ask) return
      if (!isConnected()) return this.answered(server)
      ask().then(
        () => this.answered(server),
        () => this.#askSoon(server, ask),
      )
    })
  }
}
