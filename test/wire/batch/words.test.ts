import { describe, expect, it } from 'vitest'
import { MAX_WORDS, Words } from '../../../src/wire/batch/words.ts'
import { usedHeap } from '../../helpers/used-heap.ts'

describe('the words of a batch stream', () => {
  it.each<[string, (number: number) => Buffer]>([
    ['short', (n) => Buffer.from(`w${n}`)],
    ['as long as there is room for', (n) => Buffer.from(String(n).padStart(60, 'x'))],
    ['addresses', (n) => Buffer.from([...Buffer.from(String(n).padStart(15, '0')), 0xff])],
  ])('take no more memory than they say: %s', (_, make) => {
    const before = usedHeap()
    const words = new Words()
    for (let number = 0; number < MAX_WORDS; number++) {
      const bytes = make(number)
      words.add(bytes, 0, bytes.length)
    }
    const taken = usedHeap() - before
    expect(words.memory).toBeGreaterThan(0.9 * taken)
    expect(words.memory).toBeLessThan(5 * taken)
  })

  it('are addresses where they have the size of one, text or not', () => {
    const words = new Words()
    for (const each of [Buffer.from('abcd'), Buffer.of(10, 0, 0, 255)]) words.add(each, 0, 4)
    expect(words.address(0)).toEqual(Uint8Array.of(97, 98, 99, 100))
    expect(words.address(0)).toBe(words.address(0))
    expect(words.address(1)).toEqual(Uint8Array.of(10, 0, 0, 255))
    expect(words.address(2)).toBeUndefined()
  })
})
