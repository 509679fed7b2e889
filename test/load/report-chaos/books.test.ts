import { describe, expect, it } from 'vitest'
import { Books } from '../../../load/report-chaos/books.ts'

describe('the books of a chaos run', () => {
  it('tell what is missing, what came twice and what nobody sent', () => {
    const books = new Books()
    const taken = books.open('http', 'node-1', 3)
    taken.answer = 'acknowledged'
    books.open('mixer', 'node-2', 2)
    for (const record of [0, 2, 2, 3, 99, -1, Number.NaN]) books.arrived(record)
    expect(books).toMatchObject({ delivered: 3, missing: 1, doubled: 1, invented: 3 })
    expect(books.incomplete()).toEqual([taken])
    expect(books.counts('http')).toMatchObject({ sent: 3, acknowledged: 3, missing: 1 })
    expect(books.counts('mixer')).toMatchObject({ sent: 2, unknown: 2, missing: 0 })
  })

  it('tell of refused records that arrived all the same', () => {
    const books = new Books()
    books.open('http', 'node-1', 2).answer = 'refused'
    books.arrived(1)
    expect(books.counts('http')).toMatchObject({ refused: 2, refusedYetDelivered: 1 })
  })

  it('keep many records', () => {
    const books = new Books()
    books.open('access_log', 'node-1', 300_000).answer = 'acknowledged'
    for (let record = 299_999; record >= 0; record--) books.arrived(record)
    expect(books).toMatchObject({ delivered: 300_000, missing: 0, doubled: 0 })
  })
})
