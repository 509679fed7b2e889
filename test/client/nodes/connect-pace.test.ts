import { beforeEach, describe, expect, it } from 'vitest'
import { ConnectPace } from '../../../src/client/nodes/connect-pace.ts'
import { FakeClock } from '../../helpers/clock.ts'

describe('the pace of connecting', () => {
  let clock: FakeClock
  let drawn: number
  let pace: ConnectPace

  beforeEach(() => {
    clock = new FakeClock()
    drawn = 1
    pace = new ConnectPace(clock, () => drawn)
  })

  /** How long it is not due from now on, in steps of 10 ms. */
  async function pauseMs(): Promise<number> {
    const begin = clock.monotonic()
    while (!pace.isDue) await clock.advance(10)
    return clock.monotonic() - begin
  }

  it('is slower with each connection that does not last, up to a second', async () => {
    expect(pace.isDue).toBe(true)
    const pauses: number[] = []
    for (let i = 0; i < 6; i++) {
      pace.lost()
      pauses.push(await pauseMs())
    }
    expect(pauses).toEqual([100, 200, 400, 800, 1_000, 1_000])
  })

  it('is another one for each caller', async () => {
    drawn = 0
    pace.lost()
    expect(await pauseMs()).toBe(50)
  })

  it('knows no pause after a connection that was good for long, and begins anew', async () => {
    for (let i = 0; i < 3; i++) pace.lost()
    pace.greeted()
    await clock.advance(5_000)
    pace.lost()
    expect(pace.isDue).toBe(true)
    pace.greeted()
    await clock.advance(4_999)
    pace.lost()
    expect(await pauseMs()).toBe(100)
  })

  it('gives a node more time for its first word where the last did not do', () => {
    const { greetingMs } = pace
    const waits = Array.from({ length: 4 }, () => {
      pace.waitedInVain()
      return pace.greetingMs / greetingMs
    })
    expect(waits).toEqual([2, 4, 4, 4])
    pace.greeted()
    expect(pace.greetingMs).toBe(greetingMs)
  })
})
