// Waiting with an end. That a timer fires says only that time has passed: after a stall of this process all timers fire
// first, while what arrived meanwhile is still unread in the sockets. So whoever waits looks once more before it judges.

import type { Clock } from './ports.ts'

/**
 * Calls `expired` once `ms` have passed and what had arrived by then has been handled. The returned function cancels; an
 * answer that is handled in between must call it.
 */
export function onExpiry(clock: Clock, ms: number, expired: () => void): () => void {
  let cancel = clock.after(Math.max(0, ms), () => {
    cancel = clock.turn(expired)
  })
  return () => cancel()
}

/**
 * Waits for a promise, but no longer than `ms`: then the result is what `late` returns, or a rejection with what it
 * throws. What the promise brings after that is ignored.
 */
export function within<T, L>(clock: Clock, ms: number, promise: PromiseLike<T>, late: () => L): Promise<T | L> {
  return new Promise<T | L>((resolve, reject) => {
    const cancel = onExpiry(clock, ms, () => {
      try {
        resolve(late())
      } catch (error) {
        reject(error)
      }
    })
    promise.then(
      (value) => {
        cancel()
        resolve(value)
      },
      (error: unknown) => {
        cancel()
        reject(error)
      },
    )
  })
}

/** Waits for `ms` at least. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve))
}
