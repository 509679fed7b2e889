import { describe, expect, it } from 'vitest'
import { Restarts } from '../../src/process/restarts.ts'

describe('restarts', () => {
  it('wait twice as long each time, half a minute at most', () => {
    const restarts = new Restarts()
    const waits = Array.from({ length: 9 }, () => restarts.ended(1_000))
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  })

  it('are hopeless after five ends in a row, and begin anew after a life of a minute', () => {
    const restarts = new Restarts()
    for (let i = 0; i < 4; i++) restarts.ended(59_999)
    expect(restarts.hopeless).toBe(false)
    expect(restarts.ended(60_000)).toBe(500)
    for (let i = 0; i < 3; i++) restarts.ended(0)
    expect([restarts.row, restarts.hopeless]).toEqual([4, false])
    restarts.ended(0)
    expect(restarts.hopeless).toBe(true)
  })
})
