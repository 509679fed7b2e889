// The disk spool: parcels that the queue cannot take now, in segments, until they have been handed on.
//
// Each process has a folder of its own in the spool directory. What a process that has ended left there is taken over one
// segment at a time, by whoever has time for it: renaming a file succeeds for one only.

import { mkdir, readdir, rename, rmdir, utimes } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { IntermixError } from '../../kernel/errors.ts'
import type { Clock, Logger, Random } from '../../kernel/ports.ts'
import { type ProcessIdentity, thisProcess } from '../../kernel/process-identity.ts'
import type { Parcel } from '../parcel.ts'
import { BEAT_MS, ownedName, OwnerWatch, releasedName } from './owner.ts'
import { parcelToBytes } from './parcel-bytes.ts'
import { isLegacyName, isSeededWith, isSegmentName, Segment, type Taken } from './segment.ts'
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
  readonly #seed: number
  readonly #watch: OwnerWatch
  readonly #writer: SegmentWriter
  /** Oldest first. */
  readonly #segments: Segment[] = []
  /** Files of others that could not be opened, and whether they are left alone until the next sign of life. */
  readonly #setAside = new Map<string, boolean>()
  #taking: Promise<unknown> = Promise.resolve()
  #mayHaveLeft = true
  /** Files that are done with and may still be there: taken over once more, they would be handed on once more. */
  readonly #spent = new Set<string>()
  #events: DiskSpoolEvents | undefined
  #isClosed = false
  #closedWith = 0
  readonly #cancels = new Map<string, () => void>()

  constructor(options: DiskSpoolOptions) {
    const { directory, processId, clock, random, maxBytes, fsync } = options
    const seed = Math.floor(random() * 2 ** 32)
    this.#options = options
    this.#seed = seed
    // Names sort by the time at which their process started, so that the oldest is taken over first.
    const name = `${clock.now().toString().padStart(TIME_DIGITS, '0')}-${processId}-${seed.toString(16)}`
    const identity = options.identity ?? thisProcess()
    this.#folder = join(directory, ownedName(name, identity))
    this.#watch = new OwnerWatch(identity, clock)
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
    const { directory, fsync, clock, log } = this.#options
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      await this.#makeFolder()
      await syncFolder(directory)
    } catch (error) {
      // What fills the disk may be what is to be handed on: the process starts all the same.
      if (!isFull(error)) {
        this.#isClosed = true
        const cause = `--spool-dir: the spool directory '${directory}' cannot be used (${(error as NodeJS.ErrnoException).code}); it must be a directory that this process may write to`
        throw new IntermixError('INVALID_SETTING', cause, { cause: error })
      }
      log.error({ err: error, directory }, 'the spool directory is full')
    }
    this.#repeat('beat', BEAT_MS, async () => {
      // Others may have taken it for abandoned while this process stood still.
      await utimes(this.#folder, clock.now() / 1_000, clock.now() / 1_000).catch(() => this.#makeFolder())
      this.#mayHaveLeft = true
      for (const path of this.#setAside.keys()) this.#setAside.set(path, false)
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

  /** Ends the spool; what is in it stays on the disk. One that could not be opened has nothing to end. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const cancel of this.#cancels.values()) cancel()
    await this.#taking
    await this.#writer.settled()
    await this.#writer.seal()
    this.#closedWith = this.records
    const segments = this.#segments.splice(0)
    await Promise.all(segments.map((segment) => (segment.isSpent ? segment.remove() : segment.close())))
    // Files of others may be in it that were not read: they are for whoever comes next.
    const isRemoved = this.#closedWith === 0 && (await removeEmpty(this.#folder))
    if (!isRemoved) await rename(this.#folder, releasedName(this.#folder))
  }

  /** Makes this process's folder; where there is no room for one, it takes over one that was left, with all that is in it. */
  async #makeFolder(): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    } catch (error) {
      const [left] = isFull(error) ? await this.#leftFolders() : []
      if (left === undefined) throw error
      await rename(left, this.#folder)
    }
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
    const { path } = segment
    this.#spent.add(path)
    this.#segments.splice(at, 1)
    try {
      await segment.remove()
      this.#spent.delete(path)
    } catch (error) {
      this.#options.log.warn({ err: error, path }, 'a spool file that is done with could not be removed')
    }
  }

  /** Takes over the oldest segment that somebody has left, where there is one and none is being worked on. */
  async #adopt(): Promise<void> {
    if (this.#segments.some(({ path }) => basename(path).startsWith(ADOPTED))) return
    const left = await this.#left()
    if (left === undefined) {
      this.#mayHaveLeft = false
      return
    }
    const path = join(this.#folder, ADOPTED + originOf(left))
    try {
      await rename(left, path)
    } catch {
      // Another process was faster.
      return
    }
    const segment = await this.#open(path)
    if (segment === undefined) return
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

  /** A file that cannot be opened must not hold up all others: it is tried again later. */
  async #open(path: string): Promise<Segment | undefined> {
    try {
      return await Segment.left(path)
    } catch (error) {
      if (!this.#setAside.has(path)) this.#options.log.error({ err: error, path }, 'a spool file cannot be opened')
      this.#setAside.set(path, true)
      return undefined
    }
  }

  /** The oldest file of those that have no living owner. */
  async #left(): Promise<string | undefined> {
    const { directory } = this.#options
    const known = new Set([...this.#spent, ...this.#segments.map(({ path }) => path)])
    const left: string[] = []
    // Files of the version before segments lie in the directory itself: they were written at the end of their process.
    for (const folder of [directory, this.#folder, ...(await this.#leftFolders())]) {
      const names = (await readdir(folder).catch(() => [])).filter(isSegmentName)
      // What this process writes is its own, also before it is known; a folder that it had to take over holds others'.
      const paths = names.filter((name) => !isSeededWith(name, this.#seed)).map((name) => join(folder, name))
      left.push(...paths.filter((path) => !known.has(path) && this.#setAside.get(path) !== true))
      // Only where it is empty.
      if (names.length === 0 && folder !== directory && folder !== this.#folder)
        await rmdir(folder).catch(() => undefined)
    }
    return left.toSorted((one, other) => (originOf(one) < originOf(other) ? -1 : 1))[0]
  }

  /** Folders of ended processes, oldest first. */
  async #leftFolders(): Promise<string[]> {
    const { directory } = this.#options
    const entries = await readdir(directory, { withFileTypes: true })
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(directory, name))
    this.#watch.keep(new Set(folders))
    const left: string[] = []
    for (const folder of folders.toSorted()) {
      if (folder !== this.#folder && (await this.#watch.isGone(folder))) left.push(folder)
    }
    return left
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

/** Whether a disk, or a user's part of it, has no room. */
function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/** @returns whether a folder is gone; it stays where it holds anything. */
async function removeEmpty(folder: string): Promise<boolean> {
  return await rmdir(folder).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  )
}

/** Begins the names of files that came from others; they sort before those of this process. */
const ADOPTED = '0-'
/** As many digits as the time in the name of a folder has. */
const TIME_DIGITS = 15

/** When the process started that wrote a file, and the file's own name: what sorts so was written so. It stays over all takings-over. */
function originOf(path: string): string {
  const name = basename(path)
  if (name.startsWith(ADOPTED)) return name.slice(ADOPTED.length)
  // Names of the version before segments begin with the time at which they were written.
  const time = /^\d+(?=-)/.exec(isLegacyName(name) ? name : basename(dirname(path)))?.[0] ?? ''
  return `${time.padStart(TIME_DIGITS, '0')}-${name}`
}
