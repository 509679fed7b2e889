// The frames of HTTP/2 (RFC 9113, sections 4, 6 and 7): their numbers, and how each is written.

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

export const Flag = { END_STREAM: 0x1, ACK: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const

/** Why a stream or a connection ends (section 7). */
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
  ENHANCE_YOUR_CALM: 11,
} as const

export const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const

/** What a client sends first (section 3.4). */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

export const HEAD_BYTES = 9
/** The largest payload of a frame before any SETTINGS_MAX_FRAME_SIZE, and what we take. */
export const FRAME_BYTES = 16_384
/** The windows of streams and of the connection before any SETTINGS_INITIAL_WINDOW_SIZE. */
export const DEFAULT_WINDOW = 65_535
/** Largest window, and the largest number of a stream. */
export const MAX_31_BITS = 0x7fff_ffff

/** Writes the head of a frame (section 4.1). @returns where its payload begins. */
export function writeHead(target: Buffer, at: number, length: number, type: number, flags: number, id: number): number {
  target[at] = length >>> 16
  target[at + 1] = length >>> 8
  target[at + 2] = length
  target[at + 3] = type
  target[at + 4] = flags
  writeUint32(target, at + 5, id)
  return at + HEAD_BYTES
}

/** Faster than `writeUInt32BE`, which checks its range. */
export function writeUint32(target: Buffer, at: number, value: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  )
}

/** A whole frame. */
export function frame(type: number, flags: number, id: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + payload.length)
  bytes.set(payload, writeHead(bytes, 0, payload.length, type, flags, id))
  return bytes
}

function frameOfNumbers(type: number, id: number, ...numbers: readonly number[]): Buffer {
  const payload = Buffer.alloc(numbers.length * 4)
  for (const [index, value] of numbers.entries()) writeUint32(payload, index * 4, value)
  return frame(type, 0, id, payload)
}

export function windowUpdate(id: number, increment: number): Buffer {
  return frameOfNumbers(FrameType.WINDOW_UPDATE, id, increment)
}

export function resetStream(id: number, code: number): Buffer {
  return frameOfNumbers(FrameType.RST_STREAM, id, code)
}

/** `why` is for people who look at the wire. */
export function goAway(lastId: number, code: number, why: string): Buffer {
  const payload = Buffer.concat([Buffer.alloc(8), Buffer.from(why, 'latin1')])
  writeUint32(payload, 0, lastId)
  writeUint32(payload, 4, code)
  return frame(FrameType.GOAWAY, 0, 0, payload)
}

export function settings(values: readonly (readonly [setting: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(values.length * 6)
  for (const [index, [setting, value]] of values.entries()) {
    payload.writeUInt16BE(setting, index * 6)
    payload.writeUInt32BE(value, index * 6 + 2)
  }
  return frame(FrameType.SETTINGS, 0, 0, payload)
}

export const SETTINGS_ACK = frame(FrameType.SETTINGS, Flag.ACK, 0, Buffer.alloc(0))
