// Writes records to the end of a spool: what comes while a write and its sync are under way goes together with the next.

import { open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { frameOf } from './framing.ts'
import { Segment, SEGMENT_HEAD_BYTES, segmentHead, segmentName } from './segment.ts'

export interface SegmentWriterOptions {
  readonly folder: string
  /** Begins the CRCs of this process's segments. */
  readonly seed: number
  /** A segment that is longer is followed by another. */
  readonly segmentBytes: number
  /** Whether records count as stored only when they are synced. */
  readonly syncs: boolean
  /** Hears of each new segment. */
  readonly onSegment: (segment: Segment) => void
}

interface Append {
  readonly frame: Buffer
  readonly count: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Written and synced at once. */
const MAX_GROUP_BYTES = 1024 * 1024

export class SegmentWriter {
  readonly #options: SegmentWriterOptions
  #waiting: Append[] = []
  #pendingBytes = 0
  #current: Segment | undefined
  #serial = 0
  #writing: Promise<void> | undefined
  #isDirty = false

  constructor(options: SegmentWriterOptions) {
    this.#options = options
  }

  /** Bytes that are not stored yet. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** Resolves once the record is stored. Rejects where it could not be; it is not in the spool then. */
  append(body: Uint8Array, count: number): Promise<void> {
    const frame = frameOf(body, count, this.#options.seed)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.push({ frame, count, resolve, reject })
    this.#pendingBytes += frame.length
    this.#writing ??= this.#writeAll()
    return promise
  }

  /** Syncs what was written since the last time. */
  async sync(): Promise<void> {
    if (!this.#isDirty) return
    this.#isDirty = false
    await this.#current?.sync()
  }

  /** What comes now goes to another segment. */
  async seal(): Promise<void> {
    const current = this.#current
    this.#current = undefined
    current?.seal()
    if (this.#isDirty) await current?.sync()
    this.#isDirty = false
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    await this.#writing
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#nextGroup()
      const bytes = group.reduce((sum, { frame }) => sum + frame.length, 0)
      try {
        await this.#writeGroup(group, bytes)
        for (const { resolve } of group) resolve()
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
      this.#pendingBytes -= bytes
    }
    this.#writing = undefined
  }

  #nextGroup(): readonly Append[] {
    let bytes = 0
    const end = this.#waiting.findIndex(({ frame }, at) => (bytes += frame.length) > MAX_GROUP_BYTES && at > 0)
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : end)
  }

  async #writeGroup(group: readonly Append[], bytes: number): Promise<void> {
    const segment = await this.#segmentFor(bytes)
    try {
      await segment.write(Buffer.concat(group.map(({ frame }) => frame)))
      if (this.#options.syncs) await segment.sync()
      else this.#isDirty = true
    } catch (error) {
      // After a failed sync nobody knows what the disk has: nothing more is written behind it.
      this.#current = undefined
      segment.seal()
      await segment.cut().catch(() => undefined)
      throw error
    }
    segment.grew(
      bytes,
      group.reduce((sum, { count }) => sum + count, 0),
    )
  }

  async #segmentFor(bytes: number): Promise<Segment> {
    const { folder, seed, segmentBytes, syncs, onSegment } = this.#options
    if (this.#current !== undefined && this.#current.bytes + bytes > segmentBytes) await this.seal()
    if (this.#current !== undefined) return this.#current
    const path = join(folder, segmentName(this.#serial++, seed))
    const file = await open(path, 'wx+', 0o600)
    try {
      await file.write(segmentHead(seed), 0, SEGMENT_HEAD_BYTES, 0)
      // A file whose name is not on the disk is not there after a loss of power.
      if (syncs) await syncFolder(folder)
    } catch (error) {
      await file.close()
      await unlink(path)
      throw error
    }
    const segment = Segment.created(path, file)
    this.#current = segment
    onSegment(segment)
    return segment
  }
}

/** Puts names that were made in a folder on the disk. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
