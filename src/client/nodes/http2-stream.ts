// One call over a connection of HTTP/2: what it sends, and who hears its answer.

export interface StreamEvents {
  /** The fields of the response, or its trailers; of several of one name the last. */
  headers(fields: ReadonlyMap<string, string>): void
  /** The bytes are nobody else's. */
  data(bytes: Buffer): void
  /** The peer has said all. */
  ended(): void
  /** The stream, or what it needs, has ended before. */
  failed(error: Error): void
}

/** The peer has done nothing of a call, and will not: it may be made again (RFC 9113, section 8.7). */
export class NotBegun extends Error {}

/** The connection that a stream is of. */
interface StreamHost {
  send(stream: Http2Stream): void
  reset(stream: Http2Stream, code: number): void
  readonly unsent: number
}

const NOTHING = new Uint8Array(0)

export class Http2Stream {
  /** The header block that it begins with. */
  readonly head: Buffer
  readonly events: StreamEvents
  /** 0 until the stream has begun. */
  id = 0
  /** Bytes that the peer takes. */
  window = 0
  /** Bytes that came since the peer was last told that there is room. */
  received = 0
  /** The answer has begun. */
  hasHead = false
  /** The peer has said all. */
  isAnswered = false
  readonly #host: StreamHost
  readonly #queue: Uint8Array[] = []
  /** Where the rest of the queue begins: to take its first one away moves all others. */
  #at = 0
  #queued = 0
  #isEnded = false
  /** The end is said. */
  #isDrained = false

  constructor(host: StreamHost, head: Buffer, events: StreamEvents) {
    this.#host = host
    this.head = head
    this.events = events
  }

  /** Bytes that wait to be sent, with those of other streams that have reached the socket. */
  get unsent(): number {
    return this.#queued + this.#host.unsent
  }

  /** Whether all is sent, the end included. */
  get isDrained(): boolean {
    return this.#isDrained
  }

  /** Sends bytes, as soon as the peer takes them; they are not to be written to again. */
  write(bytes: Uint8Array): void {
    if (this.#isEnded) return
    this.#queue.push(bytes)
    this.#queued += bytes.length
    this.#host.send(this)
  }

  /** Says that no more is sent. */
  end(bytes?: Uint8Array): void {
    if (this.#isEnded) return
    this.#isEnded = true
    if (bytes !== undefined) {
      this.#queue.push(bytes)
      this.#queued += bytes.length
    }
    this.#host.send(this)
  }

  /** Takes the call back: nothing more of it is told. */
  reset(code: number): void {
    this.#host.reset(this, code)
  }

  /** The next bytes to send, no more than `room`; empty for the end alone, and `undefined` where there is nothing to send now. */
  take(room: number): Uint8Array | undefined {
    const first = this.#queue[this.#at]
    if (first === undefined) {
      if (!this.#isEnded || this.#isDrained) return undefined
      this.#isDrained = true
      return NOTHING
    }
    if (room === 0 && first.length > 0) return undefined
    const part = first.length > room ? first.subarray(0, room) : first
    if (part.length === first.length) this.#taken()
    else this.#queue[this.#at] = first.subarray(room)
    this.#queued -= part.length
    this.#isDrained = this.#isEnded && this.#queue.length === 0
    return part
  }

  #taken(): void {
    this.#queue[this.#at++] = NOTHING
    // The room is given back when half of it is empty.
    if (2 * this.#at < this.#queue.length) return
    this.#queue.splice(0, this.#at)
    this.#at = 0
  }
}
