import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { halvesOf, partOf, type Parts } from '../../../src/adapter-kit/exporter/parts.ts'
import { type Letters, LETTERS } from './text-parts.ts'

const batch = { id: 'b', text: 'abcdef' }
const whole: Parts<Letters> = { ...LETTERS, pick: () => undefined }
const failed = (...entries: readonly [index: number, reason: string, retry: boolean][]) => ({
  failed: entries.map(([index, reason, retry]) => ({ index, reason, retry })),
})

describe('parts of a batch', () => {
  it('are none where all was taken', () => {
    expect(partOf(batch, undefined, LETTERS)).toBeUndefined()
    expect(partOf(batch, { failed: [] }, LETTERS)).toBeUndefined()
  })

  it('are what was refused, with the reasons, and what goes on', () => {
    const part = partOf(
      batch,
      failed([5, 'late', true], [0, 'no label', false], [2, 'late', true], [3, 'no', false]),
      LETTERS,
    )
    expect(part).toMatchObject({ delivered: 2, more: [], rest: { id: 'b-p', text: 'cf' } })
    expect(part?.ended).toMatchObject([
      { batch: { id: 'b-x', text: 'ad' }, outcome: { why: 'refused', error: { message: 'no label; no' } } },
    ])
  })

  it('are none where the backend says one thing of all: then the batch failed as a whole', () => {
    const all = (retry: boolean) =>
      failed(...Array.from(batch.text).map((_, i) => [i, 'no', retry] as [number, string, boolean]))
    expect(() => partOf(batch, all(true), LETTERS)).toThrow(expect.objectContaining({ code: 'BACKEND_FAILED' }))
    expect(() => partOf(batch, all(false), LETTERS)).toThrow(expect.objectContaining({ code: 'BACKEND_REFUSED' }))
  })

  it('cannot be had of what is not made of instances any more', () => {
    expect(() => partOf(batch, failed([0, 'no', false]), whole)).toThrow(/cannot be taken apart: no/)
    expect(halvesOf(batch, whole)).toBeUndefined()
  })

  it('lose nothing, double nothing and keep the order, whatever failed', () => {
    const entry = fc.record({ retry: fc.boolean(), reason: fc.constantFrom('x', 'y') })
    fc.assert(
      fc.property(fc.array(fc.option(entry, { nil: undefined }), { minLength: 1, maxLength: 20 }), (fates) => {
        const text = fates.map((_, i) => String.fromCharCode(97 + i)).join('')
        const list = fates.flatMap((fate, index) => (fate === undefined ? [] : [{ ...fate, index }]))
        const of = (wanted: (fate: (typeof fates)[number]) => boolean) =>
          Array.from(text)
            .filter((_, i) => wanted(fates[i]))
            .join('')
        const retried = of((fate) => fate?.retry === true)
        const refused = of((fate) => fate?.retry === false)
        fc.pre(list.length > 0 && retried !== text && refused !== text)
        const part = partOf({ id: 'b', text }, { failed: list.toReversed() }, LETTERS)
        expect(part?.rest.text).toBe(retried)
        expect(part?.ended.map((each) => each.batch.text).join('')).toBe(refused)
        expect(part?.delivered).toBe(text.length - retried.length - refused.length)
      }),
    )
  })

  it('are halves of what is too large, of one at least', () => {
    expect(halvesOf({ id: 'b', text: 'a' }, LETTERS)).toBeUndefined()
    expect(halvesOf({ id: 'b', text: 'abc' }, LETTERS)).toEqual({
      kind: 'part',
      delivered: 0,
      ended: [],
      rest: { id: 'b-a', text: 'ab' },
      more: [{ id: 'b-b', text: 'c' }],
    })
  })
})
