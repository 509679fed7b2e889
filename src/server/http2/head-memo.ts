// Header blocks that a connection sends again and again, by their bytes: a proxy's are a few octets that refer to the tables,
// and looking them up is a tenth of decoding them.

import type { RequestHead } from './request-head.ts'

/** A power of two. One client sends a handful of different blocks. */
const SLOTS = 8
/** Longer blocks are not of references alone, and seldom come again. */
const MAX_BYTES = 256

interface Known {
  readonly block: Buffer
  readonly head: RequestHead
  /** The version of the dynamic table under which the bytes mean this. */
  readonly version: number
}

/** One for each connection, since its dynamic table gives the bytes their meaning. */
export class HeadMemo {
  #known: (Known | undefined)[] | undefined
  /** Hashes of blocks that came once. */
  #seen: Int32Array | undefined
  #version = -1
  #hash = 0

  find(bytes: Buffer, start: number, end: number, version: number): RequestHead | undefined {
    this.#hash = hashOf(bytes, start, end)
    const known = this.#known?.[this.#hash & (SLOTS - 1)]
    if (known === undefined || known.version !== version) return undefined
    const { block } = known
    if (block.length !== end - start) return undefined
    for (let at = 0; at < block.length; at++) if (block[at] !== bytes[start + at]) return undefined
    return known.head
  }

  /**
   * Keeps what a block was decoded to that was looked up just before, where it has come before: of blocks that name their
   * request each is another. `before` and `after` are the versions of the table around it: a block that changes the
   * table means something else the next time, and of a client that always does so nothing need be kept.
   */
  keep(bytes: Buffer, start: number, end: number, head: RequestHead, before: number, after: number): void {
    const settled = before === after && before === this.#version
    this.#version = after
    if (!settled || end - start > MAX_BYTES) return
    const slot = this.#hash & (SLOTS - 1)
    this.#seen ??= new Int32Array(SLOTS)
    if (this.#seen[slot] !== this.#hash) {
      this.#seen[slot] = this.#hash
      return
    }
    this.#known ??= new Array<Known | undefined>(SLOTS).fill(undefined)
    const block = Buffer.allocUnsafeSlow(end - start)
    bytes.copy(block, 0, start, end)
    this.#known[slot] = { block, head, version: after }
  }
}

function hashOf(bytes: Buffer, start: number, end: number): number {
  let hash = end - start
  for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + (bytes[at] as number)) | 0
  return hash ^ (hash >>> 15)
}
