import { describe, expect, it } from 'vitest'
import { alternate, medianOf, ratioOf, ratioText } from '../../../load/kit/pairs.ts'

describe('pairs', () => {
  it('alternate, and nobody is always first', async () => {
    const order: string[] = []
    const run = (name: string) => () => Promise.resolve(order.push(name))
    const results = await alternate([run('a'), run('b'), run('c')], 3)
    expect(order.join('')).toBe('abccbaabc')
    expect(results).toEqual([
      [1, 6, 7],
      [2, 5, 8],
      [3, 4, 9],
    ])
  })

  it('give a ratio that a drift of the machine does not change, with its spread', () => {
    const drift = [1, 1.5, 2, 3, 5, 8, 13]
    const ratio = ratioOf(
      drift.map((factor, index) => 40 * factor * (1 + index / 100)),
      drift.map((factor) => 20 * factor),
    )
    expect(ratio.median).toBeCloseTo(2.06, 9)
    expect([ratio.lowest, ratio.highest]).toEqual([2, expect.closeTo(2.12, 9)])
    expect(ratio.interval[0]).toBeGreaterThanOrEqual(ratio.lowest)
    expect(ratio.interval[0]).toBeLessThan(ratio.median)
    expect(ratio.interval[1]).toBeGreaterThan(ratio.median)
    expect(ratioText(ratio)).toBe('2.06 (2.00–2.12)')
  })

  it('leave out what was not measured', () => {
    expect(ratioOf([1, 2], [0]).pairs).toBe(0)
    expect(ratioText(ratioOf([], []))).toBe('–')
    expect(ratioOf([4, 6], [2, Number.NaN])).toMatchObject({ median: 2, pairs: 1 })
  })

  it('have the median of an even number halfway', () => {
    expect(medianOf([4, 1, 3, 2])).toBe(2.5)
    expect(medianOf([3, 1, 2])).toBe(2)
  })
})
