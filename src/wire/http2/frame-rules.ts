// What each kind of frame must be like, whatever it says (RFC 9113, section 6): whose it is, and how long.

import { ConnectionError } from './connection-error.ts'
import { ErrorCode, FrameType } from './frames.ts'

interface Rule {
  readonly name: string
  /** Whether it belongs to a stream or to the connection; WINDOW_UPDATE to either. */
  readonly of: 'stream' | 'connection' | 'either'
  /** Bytes of its payload, where they are always the same, and how many there are at least. */
  readonly bytes?: number
  readonly least?: number
}

const RULES: readonly Rule[] = [
  { name: 'DATA', of: 'stream' },
  { name: 'HEADERS', of: 'stream' },
  { name: 'PRIORITY', of: 'stream', bytes: 5 },
  { name: 'RST_STREAM', of: 'stream', bytes: 4 },
  { name: 'SETTINGS', of: 'connection' },
  { name: 'PUSH_PROMISE', of: 'stream' },
  { name: 'PING', of: 'connection', bytes: 8 },
  { name: 'GOAWAY', of: 'connection', least: 8 },
  { name: 'WINDOW_UPDATE', of: 'either', bytes: 4 },
  { name: 'CONTINUATION', of: 'stream' },
]

/** Frames of kinds that are not known have no rules. @throws ConnectionError where a frame breaks the rule of its kind. */
export function checkFrame(type: number, id: number, length: number): void {
  // Nearly all frames are of these, and there is but one thing to see.
  if (type <= FrameType.HEADERS && id !== 0) return
  const rule = RULES[type]
  if (rule === undefined) return
  const { name, of, bytes, least = 0 } = rule
  if (of !== 'either' && (id === 0) !== (of === 'connection'))
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${name} is of ${id === 0 ? 'no stream' : 'a stream'}`)
  if ((bytes !== undefined && length !== bytes) || length < least)
    throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `${name} has a payload of ${length} bytes`)
}

/** Bytes of padding at the end of a payload, whose first byte says how many there are (section 6.1). */
export function paddingOf(bytes: Buffer, start: number, end: number): number {
  const length = start < end ? (bytes[start] as number) : end
  if (length >= end - start) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'padding is longer than its frame')
  return length
}
