// The real clock and random source: the only place in the program where time and chance come from.

import type { Clock, Random } from './ports.ts'

/** Node fires timers beyond 2^31-1 ms at once, so longer waits are made of parts. */
const LONGEST_TIMER_MS = 2_147_483_647

/** A beat that comes late tells how long the loop stood still. */
const BEAT_MS = 10
/** Timers are never quite on time; less than this is no stall. */
const TOLERANCE_MS = 5

/** Adds up for how long the event loop stood still, from the first time that it is asked. */
class Attention {
  #beatAt = 0
  #stalledMs = 0
  #running = false

  stalledMs(now: number): number {
    if (!this.#running) {
      this.#running = true
      this.#beatAt = now
      setInterval(() => this.#beat(), BEAT_MS).unref()
    }
    // The beat that ends a stall may come after the timer that asks.
    return this.#stalledMs + this.#lateness(now)
  }

  #beat(): void {
    const now = performance.now()
    this.#stalledMs += this.#lateness(now)
    this.#beatAt = now
  }

  #lateness(now: number): number {
    const late = now - this.#beatAt - BEAT_MS
    return late > TOLERANCE_MS ? late : 0
  }
}

const attention = new Attention()

/** Wall-clock and monotonic time of this machine; its timers never keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  attentive() {
    const now = performance.now()
    return now - attention.stalledMs(now)
  },
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
  // Immediates run right after the sockets were read.
  turn(callback) {
    const immediate = setImmediate(callback)
    return () => clearImmediate(immediate)
  },
}

/** Random numbers in [0, 1) for sampling and jitter; not for secrets. */
export const systemRandom: Random = Math.random
