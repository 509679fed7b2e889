// Lets one process at a time write into a folder. Node has no file locks: a file says whose the folder is. An owner that saw the
// same processes is asked for by its number and start time; elsewhere (another container, another machine on a shared volume)
// it counts as gone where its sign of life, the file's time of change, does not move while it is watched.

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { pause } from '../../kernel/deadline.ts'
import { parseJsonObject } from '../../kernel/parse-json.ts'
import type { Clock } from '../../kernel/ports.ts'
import { hasEnded, isInSameSpace, type ProcessIdentity } from '../../kernel/process-identity.ts'

/** A sign of life comes every so often, in ms, */
const BEAT_MS = 1_000
/** and who gives none for so long, as seen from here, is gone. */
const WATCH_MS = 5_000
const LOOK_MS = 500
/** Others may take a lock at the same time that has been left behind. */
const ATTEMPTS = 3
const MODE = 0o600

export interface FolderLockOptions {
  readonly path: string
  readonly clock: Clock
  readonly identity: ProcessIdentity
  /** Another process has taken it, as this one gave no sign of life. */
  onLost(this: void): void
}

export class FolderLock {
  readonly #options: FolderLockOptions
  readonly #mine: string
  #isBarred = false
  #cancel: () => void = () => undefined

  constructor(options: FolderLockOptions) {
    this.#options = options
    this.#mine = JSON.stringify(options.identity)
  }

  /**
   * Takes it, where nobody who lives has it; waits for some seconds where that shows only by watching. One that was refused may
   * ask again.
   * @returns whether it is this process's now
   * @throws whatever the file system says that keeps it from being written
   */
  async take(): Promise<boolean> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      if (this.#create()) {
        this.#isBarred = false
        return this.#keep()
      }
      const text = await this.#text()
      if (text === undefined) continue
      if (!(await this.#isLeft(text))) break
      await this.#clear(text)
    }
    this.#isBarred = true
    return false
  }

  /** Whether this process may write, looked up each time. One that was refused or overtaken has to take it first. */
  isMine(): boolean {
    if (this.#isBarred) return false
    try {
      if (readFileSync(this.#options.path, 'utf8') === this.#mine) return true
    } catch (error) {
      // Nobody has it: the disk was full when it was to be taken, or somebody has emptied the folder.
      if (isAbsent(error)) return this.#create() && this.#keep()
      throw error
    }
    this.#isBarred = true
    return false
  }

  /** For whoever comes. */
  release(): void {
    this.#cancel()
    try {
      if (!this.#isBarred && readFileSync(this.#options.path, 'utf8') === this.#mine) rmSync(this.#options.path)
    } catch {
      // It lies there as if this process had been killed.
    }
    this.#isBarred = true
  }

  #create(): boolean {
    try {
      writeFileSync(this.#options.path, this.#mine, { flag: 'wx', mode: MODE })
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      this.#removeEmpty()
      throw error
    }
  }

  /** A disk that is full has room for a name. */
  #removeEmpty(): void {
    try {
      if (readFileSync(this.#options.path, 'utf8') === '') rmSync(this.#options.path)
    } catch {
      // There is none.
    }
  }

  #keep(): true {
    this.#cancel()
    this.#cancel = this.#options.clock.after(BEAT_MS, () => void this.#beat())
    return true
  }

  async #beat(): Promise<void> {
    const { path, onLost } = this.#options
    try {
      if (!this.isMine()) return onLost()
      const now = new Date()
      await utimes(path, now, now)
    } catch {
      // What cannot be written shows where it matters.
    }
    if (!this.#isBarred) this.#keep()
  }

  async #text(): Promise<string | undefined> {
    try {
      return await readFile(this.#options.path, 'utf8')
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw error
    }
  }

  /** Whether its owner is gone. */
  async #isLeft(text: string): Promise<boolean> {
    const { clock, identity } = this.#options
    const owner = readOwner(text)
    if (owner !== undefined && isInSameSpace(owner.space, identity)) return await hasEnded(owner.pid, owner.started)
    const sign = await this.#sign()
    const end = clock.monotonic() + WATCH_MS
    while (clock.monotonic() < end) {
      await pause(clock, LOOK_MS)
      if ((await this.#sign()) !== sign) return false
    }
    return true
  }

  async #sign(): Promise<string> {
    const { mtimeMs } = await stat(this.#options.path).catch(() => ({ mtimeMs: 0 }))
    return `${mtimeMs} ${(await this.#text()) ?? ''}`
  }

  /** Away with what was left behind, and not with what another one has put there meanwhile. */
  async #clear(text: string): Promise<void> {
    const { path, identity } = this.#options
    const aside = `${path}.${identity.pid}.${identity.started}`
    try {
      await rename(path, aside)
      if ((await readFile(aside, 'utf8')) === text) await rm(aside, { force: true })
      else await rename(aside, path)
    } catch (error) {
      if (!isAbsent(error)) throw error
    }
  }
}

function readOwner(text: string): Pick<ProcessIdentity, 'space' | 'pid' | 'started'> | undefined {
  const { space, pid, started } = parseJsonObject(text) ?? {}
  if (typeof space !== 'string' || typeof started !== 'string' || !Number.isSafeInteger(pid)) return undefined
  return { space, pid: pid as number, started }
}

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}
