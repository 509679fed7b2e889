import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cutBatches } from '../../../src/adapter-kit/exporter/cut-batches.ts'

describe('cutBatches', () => {
  it('loses nothing, keeps the order, and cuts no piece larger or smaller than need be', () => {
    fc.assert(
      fc.property(fc.array(fc.nat()), fc.integer({ min: 1, max: 20 }), (items, size) => {
        const pieces = cutBatches(items, size)
        expect(pieces.flat()).toEqual(items)
        expect(pieces).toHaveLength(Math.ceil(items.length / size))
        for (const piece of pieces.slice(0, -1)) expect(piece).toHaveLength(size)
      }),
    )
  })
})
