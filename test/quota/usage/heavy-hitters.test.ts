import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeavyHitters } from '../../../src/quota/usage/heavy-hitters.ts'

const SIZE = 8

describe('the keys of most weight', () => {
  it('are never told more than they have, and nearly all of it', () => {
    const stream = fc.array(fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 50 })), { maxLength: 400 })
    fc.assert(
      fc.property(stream, (added) => {
        const hitters = new HeavyHitters<null>(SIZE)
        const exact = new Map<string, number>()
        let total = 0
        for (const [number, weight] of added) {
          hitters.add(`k${number}`, weight, () => null)
          exact.set(`k${number}`, (exact.get(`k${number}`) ?? 0) + weight)
          total += weight
        }
        const kept = hitters.top(1_000)
        expect(kept.length).toBeLessThanOrEqual(2 * SIZE)
        const told = new Map(kept.map(({ key, weight }) => [key, weight]))
        // Each time weight is taken from one key, it is taken from as many as `SIZE` keys.
        for (const [key, weight] of exact) {
          expect(told.get(key) ?? 0).toBeLessThanOrEqual(weight)
          expect(told.get(key) ?? 0).toBeGreaterThanOrEqual(weight - total / SIZE)
        }
      }),
    )
  })

  it('are found among a million others', () => {
    const hitters = new HeavyHitters<string>(128)
    for (let at = 0; at < 1_000_000; at++) {
      hitters.add(`once ${at}`, 1, () => 'once')
      if (at % 50 === 0) hitters.add('often', 1, () => 'often')
      if (at % 100 === 0) hitters.add('at times', 1, () => 'at times')
    }
    expect(hitters.top(2).map(({ key, value }) => [key, value])).toEqual([
      ['often', 'often'],
      ['at times', 'at times'],
    ])
    expect(hitters.top(1_000).length).toBeLessThanOrEqual(256)
  })
})
