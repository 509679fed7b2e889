// The real clock and random source: the only place in the program where time and chance come from.

import type { Clock, Random } from '../kernel/ports.ts'

/** Node fires timers beyond 2^31-1 ms at once, so longer waits are made of parts. */
const LONGEST_TIMER_MS = 2_147_483_647

/** Wall-clock and monotonic time of this machine; its timers never keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    let timer: NodeJS.Timeout
    const wait = (left: number) => {
      const part = Math.min(left, LONGEST_TIMER_MS)
      timer = setTimeout(() => (left > part ? wait(left - part) : callback()), part)
      timer.unref()
    }
    wait(Math.max(0, ms))
    return () => clearTimeout(timer)
  },
}

/** Random numbers in [0, 1) for sampling and jitter; not for secrets. */
export const systemRandom: Random = Math.random
