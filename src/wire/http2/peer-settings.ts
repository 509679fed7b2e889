// The settings of the peer (RFC 9113, section 6.5.2).

import { ConnectionError } from './connection-error.ts'
import { ErrorCode, FRAME_BYTES, MAX_31_BITS, readUint32, Setting } from './frames.ts'

const ENTRY_BYTES = 6
const MAX_FRAME_BYTES = 0xff_ffff

/** What of a SETTINGS frame makes a difference to what we send, where it is said. */
export interface PeerSettings {
  /** The last INITIAL_WINDOW_SIZE. */
  readonly initialWindow: number | undefined
  /** The least HEADER_TABLE_SIZE. */
  readonly tableBytes: number | undefined
  /** The last MAX_CONCURRENT_STREAMS. */
  readonly maxStreams: number | undefined
}

/**
 * Reads the payload of a SETTINGS frame. Nothing that we send depends on what is not returned: there is no push, and no frame
 * larger than every peer must take.
 */
export function readSettings(bytes: Buffer, start: number, end: number): PeerSettings {
  if ((end - start) % ENTRY_BYTES !== 0)
    throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'SETTINGS is not made of whole entries')
  let initialWindow: number | undefined
  let tableBytes: number | undefined
  let maxStreams: number | undefined
  for (let at = start; at < end; at += ENTRY_BYTES) {
    const setting = bytes.readUInt16BE(at)
    const value = readUint32(bytes, at + 2)
    assertAllowed(setting, value)
    if (setting === Setting.INITIAL_WINDOW_SIZE) initialWindow = value
    if (setting === Setting.MAX_CONCURRENT_STREAMS) maxStreams = value
    if (setting === Setting.HEADER_TABLE_SIZE) tableBytes = Math.min(value, tableBytes ?? value)
  }
  return { initialWindow, tableBytes, maxStreams }
}

function assertAllowed(setting: number, value: number): void {
  if (setting === Setting.ENABLE_PUSH && value > 1)
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'ENABLE_PUSH is neither 0 nor 1')
  if (setting === Setting.INITIAL_WINDOW_SIZE && value > MAX_31_BITS)
    throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE is too large')
  if (setting === Setting.MAX_FRAME_SIZE && (value < FRAME_BYTES || value > MAX_FRAME_BYTES))
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'MAX_FRAME_SIZE is out of bounds')
}
