// The words of a stream on the side that reads them: lasting ones by numbers from 0, those of one message from -1 downwards.

import { Bytes, copyOf, EMPTY } from '../bytes/bytes'

/** As many as a side may have. */
const MAX_WORDS = 65_536
const MAX_BYTES = 4 * 1024 * 1024
/** Bytes of a name: of a config, rules, a handler, an attribute, a generation. */
const MAX_NAME = 4_096

export class Words {
  private lasting: Array<Bytes> = []
  private bytes: i32 = 0
  private readonly passingAt: Array<usize> = []
  private readonly passingSizes: Array<i32> = []
  /** Those that were asked for, made once: a message may name one as often as it has bytes. */
  private readonly passing: Array<Bytes | null> = []
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
    this.passing.length = 0
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
    this.passing.push(null)
  }

  /** Bytes that last; those of a lasting word are the same for all that have it. */
  word(number: i32): Bytes {
    if (number >= 0 && number < this.lasting.length) return this.lasting[number]
    const at = -1 - number
    if (number < 0 && at < this.passingAt.length) {
      const known = this.passing[at]
      if (known !== null) return known
      const word = copyOf(this.passingAt[at], this.passingSizes[at])
      this.passing[at] = word
      return word
    }
    this.isBroken = true
    return EMPTY
  }

  /** A word that names something: no name is longer. */
  name(number: i32): Bytes {
    const name = this.word(number)
    if (name.length <= MAX_NAME) return name
    this.isBroken = true
    return EMPTY
  }
}
