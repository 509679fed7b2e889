// A folder in which a process keeps its records and the files of the versions that it may start with, so that it can start
// without Redis, and over a version that it did not outlive. One process at a time uses it, which a lock sees to.

import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { IntermixError, messageOf } from '../../kernel/errors.ts'
import { ROLLOUT_CACHE_USABLE } from '../../kernel/metrics/rollout.ts'
import { parseJson } from '../../kernel/parse-json.ts'
import type { Clock, Gauge, Logger, Meter } from '../../kernel/ports.ts'
import { type ProcessIdentity, thisProcess } from '../../kernel/process-identity.ts'
import { packFiles, unpackFiles } from '../version-blob.ts'
import type { ConfigFile } from '../version.ts'
import { FolderLock } from './folder-lock.ts'
import { joined, neededBy, NO_RECORDS, readRecords, type Records } from './records.ts'

const RECORDS = 'records.json'
const LOCK = 'lock'
const IN_USE = 'another process uses it: each needs a folder of its own'
/** How often a folder is asked for that another process uses, in ms. */
const AGAIN_MS = 10_000
/** A config may say who may do what: that is for nobody else to read. */
const FILE_MODE = 0o600
const FOLDER_MODE = 0o700
/** What a path is told by that no volume could make a folder: a file lies there, or above. */
const NO_PATH: ReadonlySet<string> = new Set(['EEXIST', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP', 'EINVAL'])

export interface VersionDiskOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** This process, unless told. */
  readonly identity?: ProcessIdentity
}

export class VersionDisk {
  readonly #folder: string
  readonly #log: Logger
  readonly #usable: Gauge
  readonly #lock: FolderLock
  readonly #clock: Clock
  /** Versions that are being written. */
  readonly #keeping = new Map<string, Promise<void>>()
  #records: Records
  #trouble: string | undefined
  #cancel: () => void = () => undefined
  #isClosed = false

  /**
   * Opens the folder, and makes it where there is none. One that cannot be written, as its volume is full or read-only, is no
   * reason not to run: what lies there is read, and `trouble` tells.
   * @throws IntermixError INVALID_SETTING where it can never be a folder.
   */
  constructor(folder: string, { clock, log, meter, identity = thisProcess() }: VersionDiskOptions) {
    this.#folder = folder
    this.#log = log
    this.#usable = meter.gauge(ROLLOUT_CACHE_USABLE)()
    try {
      this.#make()
    } catch (error) {
      if (NO_PATH.has((error as NodeJS.ErrnoException).code ?? ''))
        throw new IntermixError('INVALID_SETTING', `--config-cache: ${folder} cannot be a folder: ${messageOf(error)}`)
    }
    const onLost = () => {
      this.#failed(new Error(IN_USE))
      this.#later()
    }
    this.#clock = clock
    this.#lock = new FolderLock({ path: join(folder, LOCK), clock, identity, onLost })
    this.#records = this.#readRecords()
  }

  /**
   * Takes the folder for this process, which reads what lies there then; one that another process uses is left alone until that
   * has ended. To be called before all else. Never rejects.
   */
  async claim(): Promise<void> {
    this.#records = NO_RECORDS
    await this.#take()
  }

  /** Leaves the folder to others. */
  close(): void {
    this.#isClosed = true
    this.#cancel()
    this.#lock.release()
  }

  async #take(): Promise<void> {
    try {
      this.#make()
      const isMine = await this.#lock.take()
      if (this.#isClosed) return this.#lock.release()
      if (isMine) this.#records = joined(this.#records, this.#readRecords())
      else this.#later()
      // Whether it can be written to shows now, and not when it counts.
      this.write(this.#records)
    } catch (error) {
      this.#records = joined(this.#records, this.#readRecords())
      this.#failed(error)
    }
  }

  /** The one that uses it may be about to end, as where a deployment has started this process to take its place. */
  #later(): void {
    if (!this.#isClosed) this.#cancel = this.#clock.after(AGAIN_MS, () => void this.#take())
  }

  get records(): Records {
    return this.#records
  }

  /** Why a restart will not know what this process has learnt, in words; `undefined` where it will. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /**
   * Changes the records: at once, on the disk when this returns, and in memory also where the disk fails, which is logged.
   * Safe in a process that is about to end.
   */
  write(records: Records): void {
    this.#records = records
    try {
      this.#guard()
      this.#writeRecords(records)
      this.#worked()
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Keeps the files of a version. Never rejects: without them a start may need Redis, which is logged. */
  async keep(id: string, files: readonly ConfigFile[]): Promise<void> {
    const keeping = this.#keeping.get(id) ?? this.#keep(id, files).finally(() => this.#keeping.delete(id))
    this.#keeping.set(id, keeping)
    await keeping
  }

  async #keep(id: string, files: readonly ConfigFile[]): Promise<void> {
    const path = this.#pathOf(id)
    try {
      this.#guard()
      if ((await readdir(this.#folder)).includes(nameOf(id))) return
      await writeFile(`${path}.new`, await packFiles(files), { mode: FILE_MODE, flush: true })
      await rename(`${path}.new`, path)
      this.#worked()
    } catch (error) {
      this.#failed(error)
    }
  }

  /** The files of a version; `undefined` where they are not here, or damaged, which is logged. Never rejects. */
  async read(id: string): Promise<readonly ConfigFile[] | undefined> {
    const path = this.#pathOf(id)
    try {
      return await unpackFiles(await readFile(path), id)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      this.#log.error({ err: error, version: id }, 'a kept config version cannot be read')
      // What is damaged stays so; what cannot be read now, as too many files are open, may be all that a start has.
      if (IntermixError.from(error).code === 'INVALID_CONFIG') await rm(path, { force: true }).catch(() => undefined)
      return undefined
    }
  }

  /** Removes the files of versions that the records do not need. Never rejects. */
  async tidy(): Promise<void> {
    try {
      if (!this.#lock.isMine()) return
      const kept = new Set([...[...neededBy(this.#records)].map(nameOf), RECORDS, LOCK])
      for (const name of await readdir(this.#folder)) {
        const isWritten = this.#keeping.has(name.replace(/\.config(\.new)?$/, ''))
        if (!kept.has(name) && !isWritten) await rm(join(this.#folder, name), { force: true })
      }
    } catch (error) {
      this.#log.warn({ err: error }, 'config versions that nobody needs cannot be removed')
    }
  }

  #pathOf(id: string): string {
    return join(this.#folder, nameOf(id))
  }

  #readRecords(): Records {
    try {
      return readRecords(parseJson(readFileSync(join(this.#folder, RECORDS), 'utf8')))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NO_RECORDS
      this.#log.error({ err: error }, 'the records of config versions are damaged: as if there were none')
      return NO_RECORDS
    }
  }

  /** @throws where another process uses the folder: it would read what this one writes. */
  #guard(): void {
    this.#make()
    if (!this.#lock.isMine()) throw new Error(IN_USE)
  }

  #worked(): void {
    if (this.#trouble !== undefined) this.#log.info({ folder: this.#folder }, '--config-cache can be written again')
    this.#trouble = undefined
    this.#usable.set(1)
  }

  /** Said once, until it works again or fails otherwise. */
  #failed(error: unknown): void {
    const trouble = `it cannot be written: ${messageOf(error)}`
    if (trouble !== this.#trouble)
      this.#log.error(
        { err: error, folder: this.#folder },
        '--config-cache cannot be written: a restart will not know what this process has learnt of config versions, and may need Redis',
      )
    this.#trouble = trouble
    this.#usable.set(0)
  }

  #make(): void {
    mkdirSync(this.#folder, { recursive: true, mode: FOLDER_MODE })
  }

  #writeRecords(records: Records): void {
    const path = join(this.#folder, RECORDS)
    const file = openSync(`${path}.new`, 'w', FILE_MODE)
    try {
      writeSync(file, JSON.stringify(records))
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(`${path}.new`, path)
  }
}

function nameOf(id: string): string {
  return `${id}.config`
}
