// Messages on a gRPC stream: each with five bytes before it, its length among them (the gRPC protocol over HTTP/2).

const HEAD_BYTES = 5

/** A message as it is sent. */
export function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + message.length)
  bytes[0] = 0
  bytes.writeUInt32BE(message.length, 1)
  bytes.set(message, HEAD_BYTES)
  return bytes
}

/** Finds messages in what comes in pieces. */
export class IncomingMessages {
  readonly #maxBytes: number
  #parts: Buffer[] = []
  #size = 0

  /** @param maxBytes a longer message is not waited for */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Hands each message that is complete to `onMessage`. @throws Error for one that is compressed, or too long */
  read(bytes: Buffer, onMessage: (message: Buffer) => void): void {
    this.#parts.push(bytes)
    this.#size += bytes.length
    if (this.#size < HEAD_BYTES) return
    let rest = this.#parts.length === 1 ? bytes : Buffer.concat(this.#parts)
    while (rest.length >= HEAD_BYTES) {
      const length = rest.readUInt32BE(1)
      if (rest[0] !== 0) throw new Error('a compressed message came, and none was asked for')
      if (length > this.#maxBytes) throw new Error(`a message of ${length} bytes came; ${this.#maxBytes} are taken`)
      if (rest.length < HEAD_BYTES + length) break
      onMessage(rest.subarray(HEAD_BYTES, HEAD_BYTES + length))
      rest = rest.subarray(HEAD_BYTES + length)
    }
    this.#parts = rest.length === 0 ? [] : [rest]
    this.#size = rest.length
  }
}
