// One file of the disk spool: written at its end by one process, read from its beginning, gone when all of it was handed on.
//
// A segment begins with 16 bytes: what it is, and a cursor with a CRC of its own, up to which parcels have been handed on.
// The cursor is written in place and not synced: where it is wrong or old, parcels are handed on once more under their ids.

import { type FileHandle, open, unlink } from 'node:fs/promises'
import { basename } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Parcel, parcelFromJob } from '../parcel.ts'
import { type Framing, LEGACY_FRAMING, segmentFraming } from './framing.ts'
import { parcelFromBytes } from './parcel-bytes.ts'

const MAGIC = Buffer.from('IMXSPL1\n')
export const SEGMENT_HEAD_BYTES = 16
const SEGMENT_NAME = /\d{10}-([0-9a-f]{8})\.segment$/
const LEGACY_NAME = /\.spool$/

/** A parcel that was taken out of a segment, until it is done or put back. */
export interface Taken {
  readonly parcel: Parcel
  readonly segment: Segment
  readonly end: number
}

/** Whether a name is that of a file of a disk spool, of this version or of the one before. */
export function isSegmentName(name: string): boolean {
  return SEGMENT_NAME.test(name) || isLegacyName(name)
}

/** Whether it is one of the version before. */
export function isLegacyName(name: string): boolean {
  return LEGACY_NAME.test(name)
}

/** Names sort in the order of writing. @param seed where the CRCs in it begin */
export function segmentName(serial: number, seed: number): string {
  return `${String(serial).padStart(10, '0')}-${seed.toString(16).padStart(8, '0')}.segment`
}

/** Whether a name is that of a segment which was begun with this seed. */
export function isSeededWith(name: string, seed: number): boolean {
  return Number.parseInt(SEGMENT_NAME.exec(name)?.[1] ?? '', 16) === seed
}

/** The head of a new segment. */
export function segmentHead(seed: number): Buffer {
  return Buffer.concat([MAGIC, cursorBytes(SEGMENT_HEAD_BYTES, seed)])
}

export class Segment {
  readonly path: string
  /** Hears of records that were counted and cannot be read any more. */
  onLost: (records: number) => void = () => {}
  readonly #seed: number | undefined
  readonly #framing: Framing
  readonly #decode: (body: Buffer) => Parcel
  readonly #file: FileHandle
  /** Bytes that are whole: what lies behind them is being written, or never was. */
  #end: number
  #records = 0
  #readAt: number
  /** Where the parcels end that were taken, in order, and which of them are done. */
  readonly #taken: { readonly end: number; readonly count: number; isDone: boolean }[] = []
  #returned: Taken[] = []
  #sealed: boolean
  #damagedBytes = 0
  #writingCursor: Promise<unknown> | undefined
  #cursor: number

  private constructor(path: string, file: FileHandle, end: number, sealed: boolean) {
    const seed = SEGMENT_NAME.exec(basename(path))?.[1]
    this.path = path
    this.#file = file
    this.#end = end
    this.#sealed = sealed
    this.#seed = seed === undefined ? undefined : Number.parseInt(seed, 16)
    this.#framing = this.#seed === undefined ? LEGACY_FRAMING : segmentFraming(this.#seed, SEGMENT_HEAD_BYTES)
    this.#decode = seed === undefined ? (body) => parcelFromJob(JSON.parse(body.toString())) : parcelFromBytes
    this.#readAt = this.#framing.start
    this.#cursor = this.#framing.start
  }

  /** One that its own process has just begun. */
  static created(path: string, file: FileHandle): Segment {
    return new Segment(path, file, SEGMENT_HEAD_BYTES, false)
  }

  /** One that another process has left: it is read through once, so that it is known what it holds. */
  static async left(path: string): Promise<Segment> {
    const file = await open(path, 'r+')
    try {
      const { size } = await file.stat()
      const segment = new Segment(path, file, size, true)
      await segment.#survey()
      return segment
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Records of parcels that are not done. */
  get records(): number {
    return this.#records
  }

  /** Size of the file. */
  get bytes(): number {
    return this.#end
  }

  /** Bytes that are no whole record. */
  get damagedBytes(): number {
    return this.#damagedBytes
  }

  /** Whether everything in it was handed on, and nothing is added any more. */
  get isSpent(): boolean {
    return this.#sealed && this.#records === 0
  }

  /** What was appended and is whole now. */
  grew(bytes: number, records: number): void {
    this.#end += bytes
    this.#records += records
  }

  /** Nothing is added any more. */
  seal(): void {
    this.#sealed = true
  }

  /** The oldest parcel that was not taken, or was put back; `undefined` where there is none now. */
  async take(): Promise<Taken | undefined> {
    const returned = this.#returned.shift()
    if (returned !== undefined) return returned
    while (this.#readAt < this.#end) {
      const frame = await this.#framing.read(this.#file, this.#readAt, this.#end).catch(() => undefined)
      if (frame === undefined) {
        this.#readAt = await this.#framing.resume(this.#file, this.#readAt, this.#end)
        continue
      }
      this.#readAt = frame.end
      this.#taken.push({ end: frame.end, count: frame.count, isDone: false })
      const parcel = this.#decodeSafely(frame.body)
      if (parcel !== undefined) return { parcel, segment: this, end: frame.end }
      this.done({ end: frame.end })
      this.onLost(frame.count)
    }
    const lost = this.#taken.length === 0 ? this.#records : 0
    if (lost > 0) {
      this.#records = 0
      this.onLost(lost)
    }
    return undefined
  }

  putBack(taken: Taken): void {
    this.#returned.push(taken)
    this.#returned.sort((a, b) => a.end - b.end)
  }

  done({ end }: Pick<Taken, 'end'>): void {
    this.#finish(end)
    let moved = false
    for (let first = this.#taken[0]; first?.isDone === true; first = this.#taken[0]) {
      this.#cursor = first.end
      this.#taken.shift()
      moved = true
    }
    if (moved && this.#seed !== undefined && !this.isSpent) this.#writeCursor(this.#seed)
  }

  async sync(): Promise<void> {
    await this.#file.datasync()
  }

  async write(bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#end + done)
      done += bytesWritten
    }
  }

  /** Takes back what was written behind the end, so that a later start does not read it. */
  async cut(): Promise<void> {
    await this.#file.truncate(this.#end)
  }

  async close(): Promise<void> {
    while (this.#writingCursor !== undefined) await this.#writingCursor
    await this.#file.close()
  }

  async remove(): Promise<void> {
    await this.close()
    await unlink(this.path)
  }

  #finish(end: number): void {
    const taken = this.#taken.find((each) => each.end === end)
    if (taken === undefined || taken.isDone) return
    taken.isDone = true
    this.#records -= taken.count
  }

  #decodeSafely(body: Buffer): Parcel | undefined {
    try {
      return this.#decode(body)
    } catch {
      this.#damagedBytes += body.length
      return undefined
    }
  }

  /** One write at a time; what moves meanwhile goes with the next. */
  #writeCursor(seed: number): void {
    if (this.#writingCursor !== undefined) return
    const cursor = this.#cursor
    this.#writingCursor = this.#file
      .write(cursorBytes(cursor, seed), 0, 8, MAGIC.length)
      .catch(() => undefined)
      .then(() => {
        this.#writingCursor = undefined
        if (this.#cursor > cursor) this.#writeCursor(seed)
      })
  }

  async #survey(): Promise<void> {
    if (this.#seed !== undefined) this.#cursor = await this.#readCursor(this.#seed)
    this.#readAt = this.#cursor
    let at = this.#cursor
    while (at < this.#end) {
      const frame = await this.#framing.read(this.#file, at, this.#end).catch(() => undefined)
      if (frame === undefined) {
        const next = await this.#framing.resume(this.#file, at, this.#end)
        this.#damagedBytes += next - at
        at = next
        continue
      }
      at = frame.end
      this.#records += frame.count
    }
  }

  async #readCursor(seed: number): Promise<number> {
    const bytes = Buffer.alloc(8)
    const { bytesRead } = await this.#file.read(bytes, 0, 8, MAGIC.length)
    const cursor = bytes.readUInt32LE(0)
    const isWhole = bytesRead === 8 && bytes.equals(cursorBytes(cursor, seed))
    return isWhole ? cursor : this.#framing.start
  }
}

function cursorBytes(cursor: number, seed: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(cursor, 0)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 4), seed), 4)
  return bytes
}
