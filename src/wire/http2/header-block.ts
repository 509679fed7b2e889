// A header block that comes in several frames: HEADERS, then CONTINUATION (RFC 9113, section 4.3).

import { ConnectionError } from './connection-error.ts'
import { ErrorCode } from './frames.ts'
import type { MemoryBudget } from './memory-budget.ts'

/** What a block may have, encoded, and in how many frames. Nothing that fits into the list of fields that we take needs more. */
export const MAX_BLOCK_BYTES = 128 * 1024
const MAX_FRAMES = 64

export class HeaderBlock {
  readonly id: number
  readonly endStream: boolean
  readonly malformed: boolean
  readonly #budget: MemoryBudget
  readonly #parts: Buffer[] = []
  #bytes = 0

  constructor(budget: MemoryBudget, id: number, endStream: boolean, malformed: boolean) {
    this.#budget = budget
    this.id = id
    this.endStream = endStream
    this.malformed = malformed
  }

  add(bytes: Buffer, start: number, end: number): void {
    const length = end - start
    const allowed = this.#bytes + length <= MAX_BLOCK_BYTES && this.#parts.length < MAX_FRAMES
    if (!allowed || !this.#budget.take(length))
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'a header block is too long', 'abuse')
    this.#bytes += length
    this.#parts.push(Buffer.from(bytes.subarray(start, end)))
  }

  /** Gives its memory back. */
  release(): void {
    this.#budget.give(this.#bytes)
    this.#bytes = 0
    this.#parts.length = 0
  }

  /** All of it. */
  whole(): Buffer {
    return Buffer.concat(this.#parts, this.#bytes)
  }
}
