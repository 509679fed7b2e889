import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { systemClock, systemRandom } from '../../src/kernel/system-clock.ts'
import { standStill } from '../helpers/held-backend.ts'

const source = fileURLToPath(new URL('../../src/kernel/system-clock.ts', import.meta.url))

describe('the system clock', () => {
  it('tells wall-clock time in milliseconds and a time that never steps back', () => {
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000)
    const first = systemClock.monotonic()
    expect(systemClock.monotonic()).toBeGreaterThanOrEqual(first)
  })

  it('was not attentive while the loop stood still, whichever timer comes first', async () => {
    const inattentive = () => systemClock.monotonic() - systemClock.attentive()
    const before = inattentive()
    const seen: number[] = []
    const timers = [1, 5, 10, 20, 40].map(
      (ms) => new Promise<void>((done) => setTimeout(() => done(void seen.push(inattentive())), ms)),
    )
    standStill(80)
    // Seen at once, in the callback that stalls the loop, and for ever after.
    expect(inattentive() - before).toBeGreaterThan(60)
    await Promise.all(timers)
    for (const each of seen) expect(each - before).toBeGreaterThan(60)
  })

  it('turns once what had arrived was handled, and not when cancelled', async () => {
    const order: string[] = []
    systemClock.turn(() => order.push('cancelled'))()
    await new Promise<void>((resolve) => {
      setTimeout(() => {
        systemClock.turn(() => {
          order.push('turned')
          resolve()
        })
        process.nextTick(() => order.push('handled'))
      }, 1)
    })
    expect(order).toEqual(['handled', 'turned'])
  })

  it('calls back once, and not at all when cancelled', async () => {
    const calls: string[] = []
    const cancel = systemClock.after(1, () => calls.push('cancelled'))
    cancel()
    await new Promise<void>((resolve) => {
      // Keeps the event loop alive, which the clock's own timers do not.
      const alive = setInterval(() => {}, 1_000)
      systemClock.after(5, () => {
        clearInterval(alive)
        resolve()
      })
    })
    expect(calls).toEqual([])
  })

  it('does not fire a wait beyond the longest timer at once', async () => {
    let fired = false
    const cancel = systemClock.after(2 ** 31 + 1_000, () => {
      fired = true
    })
    // Node makes 1 ms of what is too long for it; timers of the same length fire in the order in which they were set.
    await new Promise((resolve) => setTimeout(resolve, 1))
    cancel()
    expect(fired).toBe(false)
  })

  it('does not keep a process alive', async () => {
    const program = `import { systemClock } from ${JSON.stringify(source)}; systemClock.after(60_000, () => {})`
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { timeout: 20_000 })
  })

  it('draws random numbers in [0, 1)', () => {
    const numbers = Array.from({ length: 100 }, systemRandom)
    expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true)
    expect(new Set(numbers).size).toBeGreaterThan(90)
  })
})
