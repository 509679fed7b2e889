// What a connection to a node sends: what is written in one turn leaves together, and little of it lies where it cannot be
// taken back.

import type { Socket } from 'node:net'
import { ConnectionError } from '../../wire/http2/connection-error.ts'
import { ErrorCode } from '../../wire/http2/frames.ts'

/** What the socket holds before calls wait: of one that ends meanwhile nothing is kept. */
const FULL_BYTES = 1024 * 1024
/** Frames that are to be acknowledged, and whose acknowledgement is not read: nghttp2 takes as many. */
const MAX_OWED = 1_000

export class Http2Output {
  readonly #socket: Socket
  #owed = 0
  #isCorked = false

  /** @param onRoom is called when the peer has taken all */
  constructor(socket: Socket, onRoom: () => void) {
    this.#socket = socket
    socket.on('drain', onRoom)
  }

  /** Bytes that the peer has not taken. */
  get unsent(): number {
    return this.#socket.writableLength
  }

  /** What can wait is to wait until there is room. */
  get isFull(): boolean {
    return this.unsent >= FULL_BYTES
  }

  write(bytes: Uint8Array): void {
    this.#cork()
    this.#socket.write(bytes)
  }

  /** Says that a frame has come. @throws ConnectionError where the peer sends such frames, and does not read */
  acknowledge(bytes: Uint8Array): void {
    if (++this.#owed > MAX_OWED)
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'the node wants more acknowledged than it reads', 'abuse')
    this.#cork()
    this.#socket.write(bytes, () => this.#owed--)
  }

  /** Hands the last words to the system: a socket that is destroyed sends nothing more. */
  flush(): void {
    if (!this.#isCorked) return
    this.#isCorked = false
    this.#socket.uncork()
  }

  #cork(): void {
    if (this.#isCorked) return
    this.#isCorked = true
    this.#socket.cork()
    process.nextTick(() => this.flush())
  }
}
