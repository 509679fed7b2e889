import { afterEach, describe, expect, it } from 'vitest'
import { createLoopMonitor, type LoopMonitor } from '../../src/observe/loop-lag.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { systemClock } from '../../src/observe/system.ts'
import { FakeClock } from '../helpers/clock.ts'

let monitor: LoopMonitor | undefined
afterEach(() => monitor?.stop())

/** Keeps the thread busy, as a long evaluation or compilation would. */
function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 0))

/** Lets the loop come round until `condition` holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn()
}

describe('the lag of the event loop', () => {
  it('is none while time passes and the beat comes', async () => {
    const clock = new FakeClock()
    monitor = createLoopMonitor({ clock, meter: createMeter({ processMetrics: false }) })
    await clock.advance(5_000)
    expect(monitor.lagMs()).toBe(0)
    expect(monitor.stalledSince(0)).toBe(false)
  })

  it('is seen at once, in the callback that stalls the loop', () => {
    monitor = createLoopMonitor({ clock: systemClock, meter: createMeter({ processMetrics: false }) })
    const before = systemClock.monotonic()
    block(80)
    expect(monitor.lagMs()).toBeGreaterThan(50)
    expect(monitor.stalledSince(before)).toBe(true)
  })

  it('is seen in a timer that fires right after the stall, whichever timer comes first', async () => {
    monitor = createLoopMonitor({ clock: systemClock, meter: createMeter({ processMetrics: false }) })
    const started = systemClock.monotonic()
    const seen: boolean[] = []
    const look = () => seen.push(monitor?.stalledSince(started) ?? false)
    const timers = [1, 5, 10, 20, 40].map((ms) => new Promise<void>((done) => setTimeout(() => done(void look()), ms)))
    block(80)
    await Promise.all(timers)
    expect(seen).toEqual([true, true, true, true, true])
  })

  it('stays known for what began before it, is none of what began later, and is counted', async () => {
    const meter = createMeter({ processMetrics: false })
    monitor = createLoopMonitor({ clock: systemClock, meter })
    const before = systemClock.monotonic()
    block(80)
    // The fake beat cannot stall; the real one may on a busy machine, so that the fresh start is tried until it holds.
    await until(() => monitor?.lagMs() === 0)
    expect(monitor.stalledSince(before)).toBe(true)
    await until(() => monitor?.stalledSince(systemClock.monotonic()) === false)
    expect(await meter.render()).toMatch(/intermix_loop_stalls_total [1-9]/)
  })

  it('ends with the monitor', () => {
    const clock = new FakeClock()
    createLoopMonitor({ clock, meter: createMeter({ processMetrics: false }) }).stop()
    expect(clock.pending).toBe(0)
  })
})
