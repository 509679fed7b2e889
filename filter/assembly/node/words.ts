// The words of a stream on the side that reads them: lasting ones by numbers from 0, those of one message from -1 downwards.

import { Bytes, copyOf } from '../bytes/bytes'

/** As many as a side may have. */
const MAX_WORDS = 65_536
const MAX_BYTES = 4 * 1024 * 1024

export class Words {
  private lasting: Array<Bytes> = []
  private bytes: i32 = 0
  private readonly passingAt: Array<usize> = []
  private readonly passingSizes: Array<i32> = []
  /** A word was asked for that there is not, or there were too many. */
  isBroken: bool = false

  reset(): void {
    this.lasting = []
    this.bytes = 0
  }

  /** Begins a message. */
  begin(): void {
    this.passingAt.length = 0
    this.passingSizes.length = 0
    this.isBroken = false
  }

  add(from: usize, size: i32): void {
    this.bytes += size
    if (this.lasting.length >= MAX_WORDS || this.bytes > MAX_BYTES) this.isBroken = true
    else this.lasting.push(copyOf(from, size))
  }

  addPassing(from: usize, size: i32): void {
    if (this.passingAt.length >= MAX_WORDS) {
      this.isBroken = true
      return
    }
    this.passingAt.push(from)
    this.passingSizes.push(size)
  }

  /** Bytes that last; those of a lasting word are the same for all that have it. */
  word(number: i32): Bytes {
    if (number >= 0 && number < this.lasting.length) return this.lasting[number]
    const passing = -1 - number
    if (number < 0 && passing < this.passingAt.length)
      return copyOf(this.passingAt[passing], this.passingSizes[passing])
    this.isBroken = true
    return new Uint8Array(0)
  }
}
