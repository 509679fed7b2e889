// The disk spool: parcels that the queue cannot take now, in segments, until they have been handed on.
//
// Each process has a folder of its own in the spool directory. What a process that has ended left there is taken over one
// segment at a time, by whoever has time for it: renaming a file succeeds for one only.

import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { IntermixError } from '../../kernel/errors.ts'
import type { Clock, Logger, Random } from '../../kernel/ports.ts'
import type { Parcel } from '../parcel.ts'
import { BEAT_MS, beat, disown, own, OWNER_FILE, OwnerWatch, type ProcessIdentity, thisProcess } from './owner.ts'
import { parcelToBytes } from './parcel-bytes.ts'
import { isSegmentName, Segment, type Taken } from './segment.ts'
import { SegmentWriter, syncFolder } from './segment-writer.ts'

/**
 * When what is written is synced to the disk: `always` before it counts as stored, every second (`interval`), or when the
 * system likes. What is not synced survives the end of the process, but not that of the machine.
 */
export type SpoolFsync = 'always' | 'interval' | 'never'

export interface DiskSpoolOptions {
  readonly directory: string
  /** Bound on the files of this process, in bytes; what others left may come on top. */
  readonly maxBytes: number
  readonly fsync: SpoolFsync
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Distinguishes this process's folder from those of others: letters, digits and `-`. */
  readonly processId: string
  /** This process unless set. */
  readonly identity?: ProcessIdentity
}

/** What a disk spool tells. */
export interface DiskSpoolEvents {
  /** Now and then: other processes may have left something. */
  readonly onLeft: () => void
  /** So many records were taken over that an earlier process had left. */
  readonly onRecovered: (records: number) => void
  /** So many records were here and cannot be read any more. */
  readonly onLost: (records: number) => void
}

const MIN_SEGMENT_BYTES = 64 * 1024
const MAX_SEGMENT_BYTES = 16 * 1024 * 1024
const SYNC_EVERY_MS = 1_000

export class DiskSpool {
  readonly #options: DiskSpoolOptions
  readonly #folder: string
  readonly #identity: ProcessIdentity
  readonly #watch: OwnerWatch
  readonly #writer: SegmentWriter
  /** Oldest first. */
  readonly #segments: Segment[] = []
  #taking: Promise<unknown> = Promise.resolve()
  #mayHaveLeft = true
  #events: DiskSpoolEvents | undefined
  #adopted = 0
  #isClosed = false
  #closedWith = 0
  readonly #cancels = new Map<string, () => void>()

  constructor(options: DiskSpoolOptions) {
    const { directory, processId, clock, random, maxBytes, fsync } = options
    const seed = Math.floor(random() * 2 ** 32)
    this.#options = options
    // Names sort by the time at which their process started, so that the oldest is taken over first.
    const name = `${clock.now().toString().padStart(15, '0')}-${processId}-${seed.toString(16)}`
    this.#folder = join(directory, name)
    this.#identity = options.identity ?? thisProcess()
    this.#watch = new OwnerWatch(this.#identity, clock)
    this.#writer = new SegmentWriter({
      folder: this.#folder,
      seed,
      segmentBytes: Math.min(MAX_SEGMENT_BYTES, Math.max(MIN_SEGMENT_BYTES, Math.floor(maxBytes / 16))),
      syncs: fsync === 'always',
      onSegment: (segment) => {
        segment.onLost = (records) => this.#events?.onLost(records)
        this.#segments.push(segment)
      },
    })
  }

  /** Records on the disk that were not handed on. */
  get records(): number {
    return this.#segments.reduce((sum, { records }) => sum + records, this.#closedWith)
  }

  /** Size of this process's files. */
  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Where this process's files are. */
  get folder(): string {
    return this.#folder
  }

  /**
   * Makes this process's folder.
   * @throws IntermixError INVALID_SETTING where the directory cannot be used.
   */
  async open(events: DiskSpoolEvents): Promise<void> {
    this.#events = events
    const { directory, fsync, clock } = this.#options
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      await own(this.#folder, this.#identity)
      await syncFolder(directory)
    } catch (error) {
      throw new IntermixError(
        'INVALID_SETTING',
        `the spool directory '${directory}' cannot be used; it must be a directory that this process may write to`,
        { cause: error },
      )
    }
    this.#repeat('beat', BEAT_MS, async () => {
      await beat(this.#folder, clock.now())
      this.#mayHaveLeft = true
      events.onLeft()
    })
    if (fsync === 'interval') this.#repeat('sync', SYNC_EVERY_MS, () => this.#writer.sync())
  }

  /** Whether there is room for a parcel beside what is stored and what is being written. */
  hasRoom({ bytes }: Parcel): boolean {
    return !this.#isClosed && this.bytes + this.#writer.pendingBytes + bytes <= this.#options.maxBytes
  }

  /** Resolves once the parcel is stored. Rejects where it could not be: it is not in the spool then. */
  async append(parcel: Parcel): Promise<void> {
    if (this.#isClosed) throw new IntermixError('NOT_READY', 'the disk spool is closed')
    await this.#writer.append(parcelToBytes(parcel), parcel.count)
  }

  /** The oldest parcel here that nobody has taken; `undefined` where there is none now. `done` or `putBack` must follow. */
  take(): Promise<Taken | undefined> {
    const taken = this.#taking.then(() => this.#take())
    this.#taking = taken.catch(() => undefined)
    return taken
  }

  /** The parcel was not handed on: it is the next to be taken. */
  putBack(taken: Taken): void {
    taken.segment.putBack(taken)
  }

  /** The parcel was handed on. */
  done(taken: Taken): void {
    taken.segment.done(taken)
    if (taken.segment.isSpent) void this.#remove(taken.segment)
  }

  /** Ends the spool; what is in it stays on the disk. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const cancel of this.#cancels.values()) cancel()
    await this.#taking
    await this.#writer.settled()
    await this.#writer.seal()
    this.#closedWith = this.records
    const segments = this.#segments.splice(0)
    await Promise.all(segments.map((segment) => (segment.isSpent ? segment.remove() : segment.close())))
    if (this.#closedWith === 0) await rm(this.#folder, { recursive: true, force: true })
    else await disown(this.#folder)
  }

  async #take(): Promise<Taken | undefined> {
    if (this.#isClosed) return undefined
    if (this.#mayHaveLeft) await this.#adopt()
    for (const segment of this.#segments.slice()) {
      const taken = await segment.take()
      if (taken !== undefined) return taken
      if (segment.isSpent) await this.#remove(segment)
    }
    // All of this process's own is handed on: its file can go.
    if (this.records === 0 && this.#segments.length > 0 && this.#writer.pendingBytes === 0) {
      await this.#writer.seal()
      for (const segment of this.#segments.filter(({ isSpent }) => isSpent)) await this.#remove(segment)
    }
    return undefined
  }

  async #remove(segment: Segment): Promise<void> {
    const at = this.#segments.indexOf(segment)
    if (at < 0) return
    this.#segments.splice(at, 1)
    await segment.remove().catch((error: unknown) => {
      this.#options.log.warn({ err: error, path: segment.path }, 'a spool file that is done with could not be removed')
    })
  }

  /** Takes over the oldest segment that somebody has left, where there is one and none is being worked on. */
  async #adopt(): Promise<void> {
    if (this.#segments.some(({ path }) => basename(path).startsWith(ADOPTED))) return
    const left = await this.#left()
    if (left === undefined) {
      this.#mayHaveLeft = false
      return
    }
    const serial = String(this.#adopted++).padStart(6, '0')
    const path = join(this.#folder, `${ADOPTED}${serial}-${basename(left).replace(/^0-\d{6}-/, '')}`)
    try {
      await rename(left, path)
    } catch {
      // Another process was faster.
      return
    }
    const segment = await Segment.left(path)
    this.#segments.unshift(segment)
    segment.onLost = (records) => this.#events?.onLost(records)
    this.#events?.onRecovered(segment.records)
    const { log } = this.#options
    log.info({ from: left, records: segment.records }, 'takes over reports that an earlier process left in the spool')
    if (segment.damagedBytes > 0) {
      const facts = { from: left, damagedBytes: segment.damagedBytes, records: segment.records }
      log.warn(facts, 'a spool file is damaged or was cut off: what is whole in it is used')
    }
  }

  /** The oldest file of those that have no living owner. */
  async #left(): Promise<string | undefined> {
    const { directory } = this.#options
    const entries = (await readdir(directory, { withFileTypes: true })).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    // Files of the version before segments have none: they were written at the end of their process.
    const legacy = entries.find((entry) => entry.isFile() && isSegmentName(entry.name))
    if (legacy !== undefined) return join(directory, legacy.name)
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(directory, name))
    this.#watch.keep(new Set(folders))
    for (const folder of folders) {
      if (folder === this.#folder || !(await this.#watch.isGone(folder))) continue
      const files = await readdir(folder).catch(() => [])
      const oldest = files.filter(isSegmentName).toSorted()[0]
      if (oldest !== undefined) return join(folder, oldest)
      await this.#tidy(folder, files)
    }
    return undefined
  }

  /** Removes an empty folder of an ended process. */
  async #tidy(folder: string, files: readonly string[]): Promise<void> {
    if (files.some((name) => name !== OWNER_FILE)) return
    await rm(join(folder, OWNER_FILE), { force: true }).catch(() => undefined)
    await rmdir(folder).catch(() => undefined)
  }

  #repeat(name: string, everyMs: number, work: () => Promise<void>): void {
    const again = () => {
      const cancel = this.#options.clock.after(everyMs, () => {
        void work()
          .catch((error: unknown) =>
            this.#options.log.warn({ err: error, folder: this.#folder }, `spool ${name} failed`),
          )
          .finally(() => {
            if (!this.#isClosed) again()
          })
      })
      this.#cancels.set(name, cancel)
    }
    again()
  }
}

/** Names of files that came from others: they sort before those of this process. */
const ADOPTED = '0-'
