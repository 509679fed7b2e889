// Header blocks, from HEADERS and CONTINUATION frames to what they say (RFC 9113, sections 4.3 and 6.2).

import { ConnectionError } from '../../wire/http2/connection-error.ts'
import { paddingOf } from '../../wire/http2/frame-rules.ts'
import { ErrorCode, Flag, MAX_31_BITS, readUint32 } from '../../wire/http2/frames.ts'
import { HeadMemo } from './head-memo.ts'
import { HeaderBlock } from '../../wire/http2/header-block.ts'
import { HpackDecoder } from '../../wire/http2/hpack/decoder.ts'
import type { MemoryBudget } from '../../wire/http2/memory-budget.ts'
import type { HeadReader, RequestHead } from './request-head.ts'

/** The largest list of fields taken, as SETTINGS_MAX_HEADER_LIST_SIZE counts it; larger requests get 431. */
export const MAX_LIST_BYTES = 65_536
/** What we let peers keep in our dynamic table: as much as they may without asking. */
const MAX_TABLE_BYTES = 4_096
const PRIORITY_BYTES = 5

export interface HeaderTarget {
  /** The headers of a new stream. */
  request(id: number, head: RequestHead, endStream: boolean): void
  /** Further headers of a stream, which are trailers where they are well-formed. */
  trailers(id: number, wellFormed: boolean, endStream: boolean): void
}

export class HeaderIntake {
  /** The last stream that was begun. */
  lastId = 0
  readonly #heads: HeadReader
  readonly #target: HeaderTarget
  readonly #decoder = new HpackDecoder({ maxTableBytes: MAX_TABLE_BYTES, maxListBytes: MAX_LIST_BYTES })
  readonly #memo = new HeadMemo()
  readonly #budget: MemoryBudget
  #block: HeaderBlock | undefined

  /** What is kept of blocks that have not come as a whole is taken of `budget`. */
  constructor(heads: HeadReader, target: HeaderTarget, budget: MemoryBudget) {
    this.#heads = heads
    this.#target = target
    this.#budget = budget
  }

  /** Between the frames of one block, where no other frame may be. */
  get within(): boolean {
    return this.#block !== undefined
  }

  /** Reads no more: lets go of a block that has not come as a whole. */
  stop(): void {
    this.#block?.release()
    this.#block = undefined
  }

  headers(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if ((id & 1) === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'clients begin streams of odd numbers')
    let from = start
    let until = end
    let malformed = false
    if ((flags & Flag.PADDED) !== 0) {
      until -= paddingOf(bytes, start, end)
      from++
    }
    if ((flags & Flag.PRIORITY) !== 0) {
      if (until - from < PRIORITY_BYTES) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'HEADERS is too short')
      malformed = (readUint32(bytes, from) & MAX_31_BITS) === id
      from += PRIORITY_BYTES
    }
    const endStream = (flags & Flag.END_STREAM) !== 0
    if ((flags & Flag.END_HEADERS) !== 0) return this.#read(id, endStream, malformed, bytes, from, until)
    this.#block = new HeaderBlock(this.#budget, id, endStream, malformed)
    this.#block.add(bytes, from, until)
  }

  continuation(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    const block = this.#block
    if (block === undefined || block.id !== id)
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'CONTINUATION continues nothing')
    block.add(bytes, start, end)
    if ((flags & Flag.END_HEADERS) === 0) return
    this.#block = undefined
    const whole = block.whole()
    block.release()
    this.#read(id, block.endStream, block.malformed, whole, 0, whole.length)
  }

  #read(id: number, endStream: boolean, malformed: boolean, bytes: Buffer, start: number, end: number): void {
    if (id > this.lastId) {
      this.lastId = id
      const head = this.#head(bytes, start, end)
      return this.#target.request(id, malformed ? { kind: 'malformed' } : head, endStream)
    }
    this.#heads.begin()
    this.#decoder.decode(bytes, start, end, this.#heads)
    this.#target.trailers(id, endStream && !malformed && this.#heads.finishTrailers(), endStream)
  }

  /** What a block says: known, or decoded. Every block is decoded that may change the table. */
  #head(bytes: Buffer, start: number, end: number): RequestHead {
    const before = this.#decoder.version
    const known = this.#memo.find(bytes, start, end, before)
    if (known !== undefined) return known
    const heads = this.#heads
    heads.begin()
    const head = heads.finish(this.#decoder.decode(bytes, start, end, heads) === 'ok')
    this.#memo.keep(bytes, start, end, head, before, this.#decoder.version)
    return head
  }
}
