// How parcels lie in a file, and how they are found again in one that was cut off or damaged.
//
// A record: marker, length of the body, records in it, CRC-32 of these two and the body (32 bits each, little-endian), body.
// The CRC begins with a number that only the file's name tells, so that a payload made to look like a record is none.

import type { FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'

/** One record that was read whole. */
export interface Frame {
  /** Where the next one begins. */
  readonly end: number
  /** How many report records its parcel holds. */
  readonly count: number
  readonly body: Buffer
}

/** A way of laying records into files. */
export interface Framing {
  /** Where the first record begins. */
  readonly start: number
  /** Reads the record at a place; `undefined` where there is none that is whole. `end` bounds what may be read. */
  read(file: FileHandle, at: number, end: number): Promise<Frame | undefined>
  /** Where behind `at` the next whole record may begin, or `end`. */
  resume(file: FileHandle, at: number, end: number): Promise<number>
}

const MARKER = Buffer.from([0xf1, 0x52, 0x45, 0xc7])
const HEAD_BYTES = 16
const CHUNK_BYTES = 64 * 1024

/** A record with its head, ready to be written. @param seed where the CRC begins */
export function frameOf(body: Uint8Array, count: number, seed: number): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + body.byteLength)
  MARKER.copy(frame)
  frame.writeUInt32LE(body.byteLength, 4)
  frame.writeUInt32LE(count, 8)
  frame.writeUInt32LE(checksum(frame, body, seed), 12)
  frame.set(body, HEAD_BYTES)
  return frame
}

/** The framing of segments, after a head of `start` bytes. */
export function segmentFraming(seed: number, start: number): Framing {
  const read = async (file: FileHandle, at: number, end: number): Promise<Frame | undefined> => {
    const head = await readExactly(file, at, HEAD_BYTES, end)
    if (head === undefined || !head.subarray(0, MARKER.length).equals(MARKER)) return undefined
    const body = await readExactly(file, at + HEAD_BYTES, head.readUInt32LE(4), end)
    if (body === undefined || checksum(head, body, seed) !== head.readUInt32LE(12)) return undefined
    return { end: at + HEAD_BYTES + body.length, count: head.readUInt32LE(8), body }
  }
  const resume = async (file: FileHandle, at: number, end: number): Promise<number> => {
    for (let from = at + 1; from + HEAD_BYTES <= end; ) {
      const chunk = await readExactly(file, from, Math.min(CHUNK_BYTES, end - from), end)
      const found = chunk?.indexOf(MARKER) ?? -1
      if (found >= 0) return from + found
      // A marker may begin in the last bytes of the chunk.
      from += CHUNK_BYTES - MARKER.length + 1
    }
    return end
  }
  return { start, read, resume }
}

/** The files of the version before segments: length, CRC-32, JSON of a job. What follows a damaged record is unreadable. */
export const LEGACY_FRAMING: Framing = {
  start: 0,
  async read(file, at, end) {
    const head = await readExactly(file, at, 8, end)
    const body = head === undefined ? undefined : await readExactly(file, at + 8, head.readUInt32LE(0), end)
    if (head === undefined || body === undefined || crc32(body) !== head.readUInt32LE(4)) return undefined
    const { count } = JSON.parse(body.toString()) as { count: number }
    return { end: at + 8 + body.length, count, body }
  },
  resume: (_file, _at, end) => Promise.resolve(end),
}

function checksum(head: Buffer, body: Uint8Array, seed: number): number {
  return crc32(body, crc32(head.subarray(4, 12), seed))
}

async function readExactly(file: FileHandle, at: number, length: number, end: number): Promise<Buffer | undefined> {
  if (at + length > end) return undefined
  const buffer = Buffer.allocUnsafe(length)
  for (let have = 0; have < length; ) {
    const { bytesRead } = await file.read(buffer, have, length - have, at + have)
    if (bytesRead === 0) return undefined
    have += bytesRead
  }
  return buffer
}
