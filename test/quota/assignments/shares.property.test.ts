// Shares are whole, never more than there is or than is asked for, fair, and nobody waits for ever.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Claim, sharesOf } from '../../../src/quota/assignments/shares.ts'

const wishes = fc.record({ wanted: fc.oneof(fc.nat(20), fc.nat(2 ** 32 - 1)), spare: fc.oneof(fc.nat(5), fc.nat(1e6)) })
const single = wishes.map((each): Claim => ({ ...each, weight: 1 }))
const weighted = fc.record({ wishes, weight: fc.nat(50) }).map(
  ({ wishes: each, weight }): Claim => ({
    weight,
    wanted: weight === 0 ? 0 : each.wanted,
    spare: weight === 0 ? 0 : each.spare,
  }),
)
const totals = fc.oneof(fc.nat(100), fc.nat(2 ** 32 - 1))
const sum = (numbers: readonly number[]) => numbers.reduce((all, each) => all + each, 0)

describe('shares', () => {
  it('are whole numbers that together are all there is, as far as it is asked for', () => {
    fc.assert(
      fc.property(totals, fc.array(weighted, { maxLength: 12 }), fc.nat(100), (total, claims, first) => {
        const shares = sharesOf(total, claims, first)
        expect(shares.length).toBe(claims.length)
        for (const [at, share] of shares.entries()) {
          expect(Number.isInteger(share) && share >= 0).toBe(true)
          expect(share).toBeLessThanOrEqual((claims[at]?.wanted ?? 0) + (claims[at]?.spare ?? 0))
        }
        expect(sum(shares)).toBe(Math.min(total, sum(claims.map(({ wanted, spare }) => wanted + spare))))
      }),
    )
  })

  it('give nobody less than another one, unless it wanted less', () => {
    fc.assert(
      fc.property(totals, fc.array(single, { minLength: 1, maxLength: 12 }), (total, claims) => {
        const shares = sharesOf(total, claims)
        const most = Math.max(...shares.map((share, at) => Math.min(share, claims[at]?.wanted ?? 0)))
        for (const [at, { wanted }] of claims.entries())
          expect(shares[at]).toBeGreaterThanOrEqual(Math.min(wanted, most - 1))
      }),
    )
  })

  it('follow weights, and what one does not want goes to the others', () => {
    const claim = (weight: number, wanted: number, spare = 0): Claim => ({ weight, wanted, spare })
    expect(sharesOf(90, [claim(1, 100), claim(2, 100)])).toEqual([30, 60])
    expect(sharesOf(90, [claim(1, 10), claim(2, 100)])).toEqual([10, 80])
    expect(sharesOf(10, [claim(1, 4), claim(1, 0, 10)])).toEqual([4, 6])
    expect(sharesOf(3, [claim(1, 4), claim(1, 0, 10)])).toEqual([3, 0])
    expect(sharesOf(0, [claim(1, 4)])).toEqual([0])
    expect(sharesOf(-3, [claim(1, 4)])).toEqual([0])
  })

  it('come to each in its turn where there is not one for each', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 }), (total, count) => {
        const claims = Array.from({ length: count }, () => ({ weight: 1, wanted: 5, spare: 0 }))
        const turns = Array.from({ length: count }, (_, first) => sharesOf(total, claims, first))
        for (let at = 0; at < count; at++) expect(turns.some((shares) => (shares[at] ?? 0) > 0)).toBe(true)
      }),
    )
  })
})
