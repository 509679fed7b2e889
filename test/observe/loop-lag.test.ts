import { afterEach, describe, expect, it } from 'vitest'
import { createLoopMonitor, type LoopMonitor } from '../../src/observe/loop-lag.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { FakeClock } from '../helpers/clock.ts'

let monitor: LoopMonitor | undefined
afterEach(() => monitor?.stop())

/** Keeps the thread busy, as a long evaluation or compilation would. */
function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

describe('the lag of the event loop', () => {
  it('is none while time passes and the beat comes', async () => {
    const clock = new FakeClock()
    monitor = createLoopMonitor({ clock, meter: createMeter({ processMetrics: false }) })
    await clock.advance(5_000)
    expect(monitor.lagMs()).toBe(0)
  })

  it('is seen at once, in the callback that stalls the loop', () => {
    monitor = createLoopMonitor({ clock: systemClock, meter: createMeter({ processMetrics: false }) })
    block(80)
    expect(monitor.lagMs()).toBeGreaterThan(50)
  })

  it('is over once the loop has come round, and is counted', async () => {
    const meter = createMeter({ processMetrics: false })
    monitor = createLoopMonitor({ clock: systemClock, meter })
    block(80)
    // A busy machine may stall it again and again, so that the end is waited for.
    await expect.poll(() => monitor?.lagMs(), { interval: 1 }).toBe(0)
    expect(await meter.render()).toMatch(/intermix_loop_stalls_total [1-9]/)
  })

  it('ends with the monitor', () => {
    const clock = new FakeClock()
    createLoopMonitor({ clock, meter: createMeter({ processMetrics: false }) }).stop()
    expect(clock.pending).toBe(0)
  })
})
