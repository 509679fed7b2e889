// A process that waits for an answer does not end meanwhile: sockets and timers of the client keep none alive, so that a program
// which has nothing more to do ends without closing it.

const LONG_MS = 2_147_483_647

export class KeepAlive {
  #waiting = 0
  #timer: NodeJS.Timeout | undefined

  /** Keeps the process alive until the promise is settled. */
  async during<T>(promise: Promise<T>): Promise<T> {
    if (this.#waiting++ === 0) this.#timer = setInterval(() => undefined, LONG_MS)
    try {
      return await promise
    } finally {
      if (--this.#waiting === 0) clearInterval(this.#timer)
    }
  }
}
