import { describe, expect, it } from 'vitest'
import { onExpiry, within } from '../../src/kernel/deadline.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { FakeClock } from '../helpers/clock.ts'
import { standStill, startHeldBackend } from '../helpers/held-backend.ts'

const late = () => 'late'

describe('waiting with an end', () => {
  it('gives what the promise brings in time, and leaves no timer behind', async () => {
    const clock = new FakeClock()
    expect(await within(clock, 10, Promise.resolve('value'), late)).toBe('value')
    await expect(within(clock, 10, Promise.reject(new Error('no')), late)).rejects.toThrow('no')
    expect(clock.pending).toBe(0)
  })

  it('ends at its time with what the caller says, thrown or returned', async () => {
    const clock = new FakeClock()
    const never = new Promise<never>(() => undefined)
    const returned = within(clock, 10, never, late)
    const thrown = within(clock, 10, never, () => {
      throw new Error('too late')
    })
    const failed = expect(thrown).rejects.toThrow('too late')
    await clock.advance(10)
    expect(await returned).toBe('late')
    await failed
    expect(clock.pending).toBe(0)
  })

  it('ends at once where there is no time', async () => {
    const clock = new FakeClock()
    const ended = within(clock, -5, new Promise<never>(() => undefined), late)
    await clock.advance(0)
    expect(await ended).toBe('late')
  })

  it('can be called off between the timer and the judgement', async () => {
    const clock = new FakeClock()
    let expired = false
    const cancel = onExpiry(clock, 10, () => {
      expired = true
    })
    clock.after(10, cancel)
    await clock.advance(20)
    expect(expired).toBe(false)
  })

  it('takes an answer that was there in time, though the process stood still until it was late', async () => {
    const backend = await startHeldBackend()
    try {
      const get = async () => (await fetch(backend.url)).json()
      // A connection is there; what is asked now is on its way at once.
      backend.release()
      await get()
      backend.hold()
      const answer = within(systemClock, 1_000, get(), late)
      while (backend.arrived < 2) await new Promise((resolve) => setImmediate(resolve))
      backend.release()
      standStill(1_100, () => backend.answered === 2)
      expect(await answer).toEqual({ answered: true })
    } finally {
      await backend.close()
    }
  })
})
