import { describe, expect, it } from 'vitest'
import { FakeClock } from './clock.ts'

describe('the clock of a test', () => {
  it('fires timers by time, then by the order in which they were set', async () => {
    const clock = new FakeClock()
    const fired: string[] = []
    clock.after(20, () => fired.push('later'))
    clock.after(10, () => fired.push('first'))
    clock.after(10, () => fired.push('second'))
    await clock.advance(9)
    expect(fired).toEqual([])
    await clock.advance(11)
    expect(fired).toEqual(['first', 'second', 'later'])
  })

  it('shows a timer the time at which it fell due, and fires timers that are set on the way', async () => {
    const clock = new FakeClock(1_000)
    const seen: number[] = []
    clock.after(10, () => {
      seen.push(clock.now())
      void Promise.resolve().then(() => clock.after(5, () => seen.push(clock.now())))
    })
    await clock.advance(100)
    expect(seen).toEqual([1_010, 1_015])
    expect(clock.monotonic()).toBe(100)
  })

  it('does not fire what was cancelled, and steps the wall clock alone', async () => {
    const clock = new FakeClock(1_000)
    let fired = false
    const cancel = clock.after(10, () => {
      fired = true
    })
    clock.stepWall(-500)
    expect([clock.now(), clock.monotonic(), clock.pending]).toEqual([500, 0, 1])
    cancel()
    await clock.advance(20)
    expect([fired, clock.now(), clock.pending]).toEqual([false, 520, 0])
  })
})
