// HTTP/2 frames for tests (RFC 9113), apart from the product's own, so that both do not err together. Nothing is checked: clients of
// tests misbehave.

export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const

export const Flag = { ACK: 1, END_STREAM: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const

export const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const

export const ErrorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
} as const

/** One frame, on the wire or off it. */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const HEAD_BYTES = 9

/** The octets of a frame. `length` lies about the payload's. */
export function frame(
  type: number,
  {
    flags = 0,
    stream = 0,
    payload = Buffer.alloc(0),
    length = payload.length,
  }: Partial<Frame> & { length?: number } = {},
): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUIntBE(length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

export function settings(pairs: readonly (readonly [id: number, value: number])[] = []): Buffer {
  const payload = Buffer.alloc(pairs.length * 6)
  for (const [at, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, at * 6)
    payload.writeUInt32BE(value, at * 6 + 2)
  }
  return frame(FrameType.SETTINGS, { payload })
}

export function settingsAck(): Buffer {
  return frame(FrameType.SETTINGS, { flags: Flag.ACK })
}

export function ping(text = '8 octets', flags = 0): Buffer {
  return frame(FrameType.PING, { flags, payload: Buffer.from(text) })
}

export function windowUpdate(stream: number, increment: number): Buffer {
  return frame(FrameType.WINDOW_UPDATE, { stream, payload: uint32(increment) })
}

export function resetStream(stream: number, code: number = ErrorCode.CANCEL): Buffer {
  return frame(FrameType.RST_STREAM, { stream, payload: uint32(code) })
}

export function headers(stream: number, block: Buffer, flags: number = Flag.END_HEADERS): Buffer {
  return frame(FrameType.HEADERS, { stream, flags, payload: block })
}

export function continuation(stream: number, block: Buffer, flags = 0): Buffer {
  return frame(FrameType.CONTINUATION, { stream, flags, payload: block })
}

export function data(stream: number, payload: Buffer, flags: number = Flag.END_STREAM): Buffer {
  return frame(FrameType.DATA, { stream, flags, payload })
}

/** A gRPC message with its five octets before it (flag and length). */
export function grpcMessage(message: Uint8Array, compressed = 0): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt8(compressed, 0)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Puts frames together from what comes in. */
export class FrameReader {
  #held: Buffer = Buffer.alloc(0)

  /** The frames that are whole now. */
  read(chunk: Buffer): Frame[] {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    const frames: Frame[] = []
    while (this.#held.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + this.#held.readUIntBE(0, 3)
      if (this.#held.length < end) break
      frames.push({
        type: this.#held.readUInt8(3),
        flags: this.#held.readUInt8(4),
        stream: this.#held.readUInt32BE(5) & 0x7fff_ffff,
        payload: this.#held.subarray(HEAD_BYTES, end),
      })
      this.#held = this.#held.subarray(end)
    }
    return frames
  }
}
