// How late the event loop runs: a beat that should come every few milliseconds, and how late it came. What is read from
// a socket may have waited there for so long. (What a stall means for deadlines is the clock's part: see `attentive`.)

import { LOOP_STALLS_TOTAL } from '../kernel/metrics/process.ts'
import type { Clock, LoopLag, Meter } from '../kernel/ports.ts'

/** Short beside every deadline in use, and a hundred wake-ups a second cost an idle process next to nothing. */
const BEAT_MS = 10
/**
 * A loop that is this late counts as stalled: half of the shortest deadline in use, which is Redis's 50 ms. The help of the
 * metric names it.
 */
const STALL_MS = 25

export interface LoopMonitor extends LoopLag {
  /** Ends the beat. */
  stop(): void
}

/** Starts to watch the loop. Stalls are counted in `loop_stalls_total`. */
export function createLoopMonitor({ clock, meter }: { readonly clock: Clock; readonly meter: Meter }): LoopMonitor {
  const stalls = meter.counter(LOOP_STALLS_TOTAL)()
  let beatAt = clock.monotonic()
  /** How late the latest beat was, until the sockets have been read after it. */
  let late = 0
  const lateness = (now: number) => Math.max(0, now - beatAt - BEAT_MS)
  const caughtUp = () => {
    late = 0
  }
  const beat = () => {
    const now = clock.monotonic()
    late = lateness(now)
    beatAt = now
    if (late >= STALL_MS) stalls.add()
    // The sockets are read next; what is read after that has not waited for this beat.
    if (late > 0) setImmediate(caughtUp)
    cancel = clock.after(BEAT_MS, beat)
  }
  let cancel = clock.after(BEAT_MS, beat)
  return {
    lagMs: () => Math.max(late, lateness(clock.monotonic())),
    stop: () => cancel(),
  }
}
