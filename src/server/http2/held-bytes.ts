// What has come of a stream's body while nobody reads it: one run of bytes, however small the pieces that it came in.

import type { MemoryBudget } from '../../wire/http2/memory-budget.ts'

const FIRST_BYTES = 1_024
const NOTHING = Buffer.alloc(0)

export class HeldBytes {
  readonly #budget: MemoryBudget
  #bytes = NOTHING
  #from = 0
  #to = 0

  constructor(budget: MemoryBudget) {
    this.#budget = budget
  }

  get length(): number {
    return this.#to - this.#from
  }

  /** Copies bytes behind the others. @returns false where there is no memory for them */
  add(bytes: Buffer, start: number, end: number): boolean {
    const to = this.#to + end - start
    if (to > this.#bytes.length && !this.#grow(this.length + end - start)) return false
    this.#to += bytes.copy(this.#bytes, this.#to, start, end)
    return true
  }

  /** @param read says up to where it has read */
  read(read: (bytes: Buffer, from: number, to: number) => number): void {
    const bytes = this.#bytes
    const at = read(bytes, this.#from, this.#to)
    // Who was handed them may have released them.
    if (this.#bytes !== bytes) return
    this.#from = at
    if (this.length === 0) this.release()
  }

  /** Gives its memory back. */
  release(): void {
    this.#budget.give(this.#bytes.length)
    this.#bytes = NOTHING
    this.#from = 0
    this.#to = 0
  }

  /** Into another buffer: what was read of this one may still be in use. */
  #grow(atLeast: number): boolean {
    const size = Math.max(FIRST_BYTES, atLeast + (atLeast >> 1))
    if (!this.#budget.takeForMessage(size)) return false
    const larger = Buffer.allocUnsafeSlow(size)
    const length = this.#bytes.copy(larger, 0, this.#from, this.#to)
    this.release()
    this.#bytes = larger
    this.#to = length
    return true
  }
}
