import { describe, expect, it } from 'vitest'
import { atOnce, inSlices, type Sliced } from '../../src/config/slices.ts'
import { FakeClock } from '../helpers/clock.ts'

/** Takes a millisecond of `clock` in each of so many steps. */
function* steps(count: number, clock: FakeClock): Sliced<string> {
  for (let i = 0; i < count; i++) {
    clock.stall(1)
    yield
  }
  return 'done'
}

describe('work in slices', () => {
  it('lets the event loop do other things at least every 6 ms', async () => {
    const clock = new FakeClock()
    let [longest, last, ended] = [0, 0, false]
    const turn = () => {
      longest = Math.max(longest, clock.monotonic() - last)
      last = clock.monotonic()
      if (!ended) setImmediate(turn)
    }
    turn()
    expect(await inSlices(steps(200, clock), clock)).toBe('done')
    ended = true
    expect(clock.monotonic()).toBe(200)
    expect(longest).toBeGreaterThan(0)
    expect(longest).toBeLessThanOrEqual(12)
  })

  it('is the same work at once', () => {
    expect(atOnce(steps(200, new FakeClock()))).toBe('done')
  })

  it('hands on what the work throws', async () => {
    const failing = function* (): Sliced<never> {
      yield
      throw new Error('no')
    }
    await expect(inSlices(failing(), new FakeClock())).rejects.toThrow('no')
    expect(() => atOnce(failing())).toThrow('no')
  })
})
