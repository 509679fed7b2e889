// The header lines of a request, as the host hands them over: sizes of all names and values first, then the bytes, each with a
// NUL behind it.

import { getHeaderMapPairs, HeaderMap, Status } from '../host/abi'
import { take } from '../host/scratch'
import { bytesOf, Bytes, copyOf, isEqual, isSame } from '../bytes/bytes'

/** Lines of a usual request; there is room for more where one has them. */
const USUAL_LINES = 100

/** Fields that a message may have once (RFC 9110 section 5.3 and others); and one whose lines cannot be joined. */
const SINGLE: StaticArray<Bytes> = [
  bytesOf('access-control-request-method'),
  bytesOf('age'),
  bytesOf('authorization'),
  bytesOf('content-disposition'),
  bytesOf('content-length'),
  bytesOf('content-location'),
  bytesOf('content-range'),
  bytesOf('content-type'),
  bytesOf('date'),
  bytesOf('etag'),
  bytesOf('expires'),
  bytesOf('from'),
  bytesOf('host'),
  bytesOf('if-modified-since'),
  bytesOf('if-range'),
  bytesOf('if-unmodified-since'),
  bytesOf('last-modified'),
  bytesOf('location'),
  bytesOf('max-forwards'),
  bytesOf('origin'),
  bytesOf('proxy-authorization'),
  bytesOf('range'),
  bytesOf('referer'),
  bytesOf('retry-after'),
  bytesOf('server'),
  bytesOf('user-agent'),
]

/** Whether a message may have a header only once. */
export function isSingleton(name: usize, size: i32): bool {
  for (let i = 0; i < SINGLE.length; i++) if (isEqual(SINGLE[i], name, size)) return true
  return false
}

/** What is known of a line, one behind the other. */
const enum Line {
  NAME = 0,
  NAME_SIZE = 1,
  VALUE = 2,
  VALUE_SIZE = 3,
  /** Of its name. */
  HASH = 4,
  FIELDS = 5,
}

const COMMA: u8 = 0x2c
const SEMICOLON: u8 = 0x3b
const SPACE: u8 = 0x20
const cell = memory.data(8, 8)

/** Where the value lies that `joined` has read. */
export let joinedAt: usize = 0

export class Headers {
  count: i32 = 0
  /** Bytes of all names and values. */
  size: i32 = 0
  private lines: StaticArray<usize>
  private pairs: usize = 0
  private pairsSize: i32 = 0
  /** Where it has to outlive the callback. */
  private own: Bytes | null = null

  /** @param lines there is room for so many at first */
  constructor(lines: i32 = USUAL_LINES) {
    this.lines = new StaticArray<usize>(lines * Line.FIELDS)
  }

  /** Takes the headers of the stream that the callback is about. @returns whether they could be read */
  load(map: i32 = HeaderMap.REQUEST): bool {
    this.own = null
    const isThere = getHeaderMapPairs(map, cell, cell + 4) === Status.OK
    if (isThere) this.read(load<usize>(cell), load<i32>(cell + 4))
    else this.read(0, 0)
    return isThere
  }

  /** The same headers in memory that lasts. */
  kept(): Headers {
    const kept = new Headers(this.count)
    const own = copyOf(this.pairs, this.pairsSize)
    kept.own = own
    kept.read(own.dataStart, own.length)
    return kept
  }

  private read(pairs: usize, size: i32): void {
    this.pairs = pairs
    this.pairsSize = size
    this.count = 0
    this.size = 0
    if (size < 4) return
    const count = load<i32>(pairs)
    if (count * Line.FIELDS > this.lines.length) this.lines = new StaticArray<usize>(count * Line.FIELDS)
    let at = pairs + 4 + 8 * <usize>count
    for (let i = 0; i < count; i++) {
      const sizes = pairs + 4 + 8 * <usize>i
      const nameSize = load<i32>(sizes)
      const valueSize = load<i32>(sizes + 4)
      const line = i * Line.FIELDS
      // There is room: this is on the way of each request.
      unchecked((this.lines[line + Line.NAME] = at))
      unchecked((this.lines[line + Line.NAME_SIZE] = nameSize))
      unchecked((this.lines[line + Line.HASH] = quick(at, nameSize)))
      at += <usize>nameSize + 1
      unchecked((this.lines[line + Line.VALUE] = at))
      unchecked((this.lines[line + Line.VALUE_SIZE] = valueSize))
      at += <usize>valueSize + 1
      this.size += nameSize + valueSize
    }
    this.count = count
  }

  nameAt(line: i32): usize {
    return this.lines[line * Line.FIELDS + Line.NAME]
  }

  nameSize(line: i32): i32 {
    return <i32>this.lines[line * Line.FIELDS + Line.NAME_SIZE]
  }

  valueAt(line: i32): usize {
    return this.lines[line * Line.FIELDS + Line.VALUE]
  }

  valueSize(line: i32): i32 {
    return <i32>this.lines[line * Line.FIELDS + Line.VALUE_SIZE]
  }

  private hashAt(line: i32): u32 {
    return <u32>unchecked(this.lines[line * Line.FIELDS + Line.HASH])
  }

  private isNamed(line: i32, name: Bytes): bool {
    const at = line * Line.FIELDS
    return isEqual(name, unchecked(this.lines[at + Line.NAME]), <i32>unchecked(this.lines[at + Line.NAME_SIZE]))
  }

  /** The first line of a header from a line on; -1 where there is none. */
  find(name: Bytes, from: i32 = 0): i32 {
    const hash = quick(name.dataStart, name.length)
    for (let i = from; i < this.count; i++) {
      if (this.hashAt(i) === hash && this.isNamed(i, name)) return i
    }
    return -1
  }

  /**
   * The value of a header from a line on, with that of its further lines behind it, apart by a comma or `; `. It lies at `joinedAt`
   * until the callback ends. @returns its size
   */
  joined(first: i32, name: Bytes, isCookie: bool): i32 {
    joinedAt = this.valueAt(first)
    if (this.find(name, first + 1) < 0) return this.valueSize(first)
    let size = 0
    for (let line = first; line >= 0; line = this.find(name, line + 1)) size += this.valueSize(line) + 2
    const to = take(size)
    let used = 0
    for (let line = first; line >= 0; line = this.find(name, line + 1)) {
      if (line !== first) {
        store<u8>(to + <usize>used, isCookie ? SEMICOLON : COMMA)
        if (isCookie) store<u8>(to + <usize>(used + 1), SPACE)
        used += isCookie ? 2 : 1
      }
      memory.copy(to + <usize>used, this.valueAt(line), this.valueSize(line))
      used += this.valueSize(line)
    }
    joinedAt = to
    return used
  }

  /** Whether a header comes twice that may be there once. What can be joined is joined where it is read. */
  hasForbiddenRepetition(): bool {
    for (let i = 1; i < this.count; i++) {
      const hash = this.hashAt(i)
      for (let j = 0; j < i; j++) {
        if (this.hashAt(j) !== hash) continue
        if (!isSame(this.nameAt(i), this.nameSize(i), this.nameAt(j), this.nameSize(j))) continue
        const name = this.nameAt(i)
        const size = this.nameSize(i)
        if (load<u8>(name) === 0x3a || isSingleton(name, size) || isEqual(SET_COOKIE, name, size)) return true
      }
    }
    return false
  }

  /** Whether all values are ASCII: others may be no UTF-8, which a node refuses. */
  isAscii(): bool {
    const from = this.pairs + 4 + 8 * <usize>this.count
    const end = this.pairs + <usize>this.pairsSize
    let at = from
    for (; at + 8 <= end; at += 8) if ((load<u64>(at) & 0x8080808080808080) !== 0) return false
    for (; at < end; at++) if (load<u8>(at) >= 0x80) return false
    return true
  }
}

const SET_COOKIE = bytesOf('set-cookie')

/** Enough to tell most names apart: their size, their beginning and their end. */
function quick(name: usize, size: i32): u32 {
  if (size < 4)
    return size === 0 ? 0 : <u32>load<u8>(name) | ((<u32>load<u8>(name + <usize>(size - 1))) << 8) | ((<u32>size) << 24)
  return (load<u32>(name) * 31) ^ load<u32>(name + <usize>(size - 4)) ^ ((<u32>size) << 24)
}
