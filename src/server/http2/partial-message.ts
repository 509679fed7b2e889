// A gRPC message of which not all has come: a prefix (a flag and the length) and the message. Its buffer grows with what comes, not with
// what the prefix promises.

import { readUint32 } from '../../wire/http2/frames.ts'
import type { MemoryBudget } from '../../wire/http2/memory-budget.ts'

export const PREFIX_BYTES = 5
const FIRST_BYTES = 1_024

export class PartialMessage {
  readonly #budget: MemoryBudget
  #bytes = Buffer.alloc(0)
  #have = 0

  constructor(budget: MemoryBudget) {
    this.#budget = budget
  }

  /** The bytes of prefix and message as the prefix has them, once it is there. */
  get size(): number | undefined {
    return this.#have < PREFIX_BYTES ? undefined : PREFIX_BYTES + readUint32(this.#bytes, 1)
  }

  /** Prefix and message, once all of it is there. */
  get whole(): Buffer | undefined {
    return this.#have === this.size ? this.#bytes.subarray(0, this.#have) : undefined
  }

  /** Takes what is missing, first of the prefix and then of the message. @returns where that ends; -1 where there is no memory. */
  fill(bytes: Buffer, start: number, end: number): number {
    const missing = (this.size ?? PREFIX_BYTES) - this.#have
    const until = Math.min(end, start + missing)
    const have = this.#have + until - start
    if (have > this.#bytes.length && !this.#grow(have)) return -1
    bytes.copy(this.#bytes, this.#have, start, until)
    this.#have = have
    return until
  }

  /** Gives its memory back. */
  release(): void {
    this.#budget.give(this.#bytes.length)
    this.#bytes = Buffer.alloc(0)
    this.#have = 0
  }

  #grow(atLeast: number): boolean {
    const doubled = Math.max(FIRST_BYTES, 2 * this.#bytes.length)
    const size = Math.max(atLeast, Math.min(doubled, this.size ?? FIRST_BYTES))
    if (!this.#budget.takeForMessage(size - this.#bytes.length)) return false
    const larger = Buffer.allocUnsafeSlow(size)
    this.#bytes.copy(larger, 0, 0, this.#have)
    this.#bytes = larger
    return true
  }
}
