// The context of one call. Most calls of adapters that do no I/O never look at the signal, so it is made on demand.

import type { CallContext } from '../adapter-kit/define-adapter.ts'

export class LazyCallContext implements CallContext {
  readonly deadline: number
  #controller: AbortController | undefined
  #aborted = false

  constructor(deadline: number) {
    this.deadline = deadline
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#aborted) this.#controller.abort()
    }
    return this.#controller.signal
  }

  abort(): void {
    this.#aborted = true
    this.#controller?.abort()
  }
}
