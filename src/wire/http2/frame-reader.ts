// Finds the frames in what a socket gives, in pieces of any size. A frame that is whole in a piece is not copied.

import { ConnectionError } from './connection-error.ts'
import { ErrorCode, FRAME_BYTES, HEAD_BYTES, readUint32 } from './frames.ts'
import type { MemoryBudget } from './memory-budget.ts'

export interface FrameSink {
  /** Takes a frame whose payload lies in `bytes` between two offsets. Nobody writes to `bytes` again. */
  frame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void
}

const NOTHING = Buffer.alloc(0)

export class FrameReader {
  readonly #sink: FrameSink
  /** A frame of which not all has come: its bytes so far, in a buffer of its size once that is known. */
  #partial: Buffer = NOTHING
  #have = 0
  #stopped = false
  readonly #budget: MemoryBudget

  /** What is kept of frames that have not come as a whole is taken of `budget`. */
  constructor(sink: FrameSink, budget: MemoryBudget) {
    this.#sink = sink
    this.#budget = budget
  }

  /** Reads no further frame, also of what is being read. */
  stop(): void {
    this.#stopped = true
    this.#release()
  }

  /** @throws ConnectionError where a frame is larger than allowed. */
  read(bytes: Buffer, from: number): void {
    let at = this.#have === 0 ? from : this.#fill(bytes, from)
    const last = bytes.length - HEAD_BYTES
    while (at <= last) {
      const end = at + HEAD_BYTES + payloadBytes(bytes, at)
      if (end > bytes.length) break
      this.#emit(bytes, at, end)
      at = end
    }
    if (at < bytes.length && !this.#stopped) this.#keep(bytes, at)
  }

  #emit(bytes: Buffer, at: number, end: number): void {
    if (this.#stopped) return
    const id = readUint32(bytes, at + 5) & 0x7fff_ffff
    this.#sink.frame(bytes[at + 3] as number, bytes[at + 4] as number, id, bytes, at + HEAD_BYTES, end)
  }

  /** Goes on with the partial frame. @returns where the next one begins. */
  #fill(bytes: Buffer, from: number): number {
    let at = from
    if (this.#have < HEAD_BYTES) at = this.#take(bytes, at, HEAD_BYTES)
    if (this.#have < HEAD_BYTES) return at
    const size = HEAD_BYTES + payloadBytes(this.#partial, 0)
    if (this.#partial.length < size) {
      const whole = this.#allocate(size)
      this.#partial.copy(whole, 0, 0, this.#have)
      this.#budget.give(this.#partial.length)
      this.#partial = whole
    }
    at = this.#take(bytes, at, size)
    if (this.#have < size) return at
    const whole = this.#partial
    this.#release()
    this.#emit(whole, 0, size)
    return at
  }

  #take(bytes: Buffer, at: number, upTo: number): number {
    const end = Math.min(bytes.length, at + upTo - this.#have)
    bytes.copy(this.#partial, this.#have, at, end)
    this.#have += end - at
    return end
  }

  #keep(bytes: Buffer, at: number): void {
    const size = bytes.length - at >= HEAD_BYTES ? HEAD_BYTES + payloadBytes(bytes, at) : HEAD_BYTES
    this.#partial = this.#allocate(size)
    this.#take(bytes, at, size)
  }

  #allocate(size: number): Buffer {
    if (!this.#budget.take(size))
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too much is being received at once', 'abuse')
    return Buffer.allocUnsafe(size)
  }

  #release(): void {
    this.#budget.give(this.#partial.length)
    this.#partial = NOTHING
    this.#have = 0
  }
}

function payloadBytes(bytes: Buffer, at: number): number {
  const length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
  if (length > FRAME_BYTES) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `a frame of ${length} bytes`)
  return length
}
