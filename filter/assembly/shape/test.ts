// Tests of one value, as nodes tell them (intermix.v1.Test).

import { Bytes, compare, contains, decimalOf, endsWith, isEqual, startsWith } from '../bytes/bytes'
import { Kind } from '../request/attributes'

export const enum Op {
  ONE_OF = 0,
  PREFIX = 1,
  SUFFIX = 2,
  CONTAINS = 3,
  MATCHES = 4,
  BELOW = 5,
  AT_MOST = 6,
  ABOVE = 7,
  AT_LEAST = 8,
  LONGEST_PREFIX = 9,
  LONGEST_SUFFIX = 10,
  NOT = 11,
  ALL = 12,
  ANY = 13,
}

export const enum Said {
  FALSE = 0,
  TRUE = 1,
  /** It says nothing of such a value. */
  NOTHING = 2,
}

/** Characters of a text that tests look at: of longer ones they say nothing. */
const MAX_TESTED = 8_192

export class Test {
  op: i32 = 0
  texts: Array<Bytes> = []
  integers: Array<i64> = []
  booleans: Array<bool> = []
  hasNumber: bool = false
  number: f64 = 0
  parts: Array<Test> = []
  none: bool = false
  /** A later version has said something of it. */
  isUnknown: bool = false

  /** Whether it can be asked here of values of a kind: patterns cannot, nor can tests of values that are spelled in another way. */
  isKnown(kind: i32): bool {
    switch (this.op) {
      case Op.ONE_OF:
      case Op.BELOW:
      case Op.AT_MOST:
      case Op.ABOVE:
      case Op.AT_LEAST:
        if (this.hasNumber) return false
        if (kind === Kind.TEXT) return this.texts.length > 0
        if (kind === Kind.INTEGER) return this.integers.length > 0
        return kind === Kind.BOOLEAN && this.booleans.length > 0 && this.op === Op.ONE_OF
      case Op.PREFIX:
      case Op.SUFFIX:
      case Op.CONTAINS:
        return kind === Kind.TEXT && this.texts.length > 0
      case Op.LONGEST_PREFIX:
      case Op.LONGEST_SUFFIX:
        return kind === Kind.TEXT && (this.none || this.texts.length > 0)
      case Op.NOT:
        return this.parts.length === 1 && this.parts[0].isKnown(kind)
      case Op.ALL:
      case Op.ANY:
        for (let i = 0; i < this.parts.length; i++) if (!this.parts[i].isKnown(kind)) return false
        return true
      default:
        return false
    }
  }

  /** What it says of a value, given as text. */
  ask(text: usize, size: i32, kind: i32): i32 {
    if (kind === Kind.TEXT && size > MAX_TESTED) return Said.NOTHING
    switch (this.op) {
      case Op.ONE_OF:
        return this.isOneOf(text, size, kind) ? Said.TRUE : Said.FALSE
      case Op.PREFIX:
        return startsWith(text, size, this.texts[0]) ? Said.TRUE : Said.FALSE
      case Op.SUFFIX:
        return endsWith(text, size, this.texts[0]) ? Said.TRUE : Said.FALSE
      case Op.CONTAINS:
        return contains(text, size, this.texts[0]) ? Said.TRUE : Said.FALSE
      case Op.BELOW:
        return this.order(text, size, kind) < 0 ? Said.TRUE : Said.FALSE
      case Op.AT_MOST:
        return this.order(text, size, kind) <= 0 ? Said.TRUE : Said.FALSE
      case Op.ABOVE:
        return this.order(text, size, kind) > 0 ? Said.TRUE : Said.FALSE
      case Op.AT_LEAST:
        return this.order(text, size, kind) >= 0 ? Said.TRUE : Said.FALSE
      case Op.LONGEST_PREFIX:
      case Op.LONGEST_SUFFIX:
        return this.isLongest(text, size) ? Said.TRUE : Said.FALSE
      case Op.NOT: {
        const said = this.parts[0].ask(text, size, kind)
        return said === Said.NOTHING ? said : 1 - said
      }
      case Op.ALL:
        return this.inTurn(text, size, kind, Said.FALSE)
      default:
        return this.inTurn(text, size, kind, Said.TRUE)
    }
  }

  private inTurn(text: usize, size: i32, kind: i32, decisive: i32): i32 {
    for (let i = 0; i < this.parts.length; i++) {
      const said = this.parts[i].ask(text, size, kind)
      if (said !== 1 - decisive) return said
    }
    return 1 - decisive
  }

  private isOneOf(text: usize, size: i32, kind: i32): bool {
    if (kind === Kind.TEXT) {
      for (let i = 0; i < this.texts.length; i++) if (isEqual(this.texts[i], text, size)) return true
      return false
    }
    if (kind === Kind.INTEGER) return this.integers.includes(decimalOf(text, size))
    return this.booleans.includes(size === 4)
  }

  private order(text: usize, size: i32, kind: i32): i32 {
    if (kind === Kind.TEXT) return compare(text, size, this.texts[0].dataStart, this.texts[0].length)
    const value = decimalOf(text, size)
    const than = this.integers[0]
    return value < than ? -1 : value > than ? 1 : 0
  }

  /** The first text is the longest of all of them that the value begins, or ends, with; with `none` there is none such. */
  private isLongest(text: usize, size: i32): bool {
    let longest = -1
    for (let i = this.none ? 0 : 1; i < this.texts.length; i++) {
      const known = this.texts[i]
      const fits = this.op === Op.LONGEST_PREFIX ? startsWith(text, size, known) : endsWith(text, size, known)
      if (fits && known.length > longest) longest = known.length
    }
    if (this.none) return longest < 0
    const affix = this.texts[0]
    if (longest !== affix.length) return false
    return this.op === Op.LONGEST_PREFIX ? startsWith(text, size, affix) : endsWith(text, size, affix)
  }
}
