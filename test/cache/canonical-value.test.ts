// Keys of values: of equal ones the same, however often they come, and of others never.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalValue } from '../../src/cache/canonical-value.ts'

describe('the canonical text of a text', () => {
  it('is that of this very text, whichever came before in its place', () => {
    const texts = fc.array(fc.string({ minLength: 8, maxLength: 16 }), { minLength: 1, maxLength: 6 })
    const asked = fc.tuple(texts, fc.array(fc.nat(), { minLength: 1, maxLength: 30 }))
    fc.assert(
      fc.property(asked, ([all, order]) => {
        const chosen = order.map((at) => all[at % all.length] ?? '')
        expect(chosen.map(canonicalValue)).toEqual(chosen.map((text) => `s${text.length}:${text}`))
      }),
    )
  })

  it('is told apart where texts have one mark', () => {
    // They differ in what the mark does not look at.
    const alike = ['a', 'b', 'é', '\u4e2d', '\ud800'].map((first) => `${first}${'x'.repeat(40)}`)
    for (let round = 0; round < 4; round++)
      for (const text of alike)
        for (let again = 0; again <= round; again++) expect(canonicalValue(text)).toBe(`s41:${text}`)
  })
})
