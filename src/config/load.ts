// Reads config folders. What was read of a file is kept as long as the file stays the same, so that a change costs what
// the changed files cost.

import { messageOf } from '../kernel/errors.ts'
import { createHash } from 'node:crypto'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { UNREADABLE } from './config-source.ts'
import { digestOf } from './digest.ts'
import { failedPart, joined, type LoadedConfig, parsing } from './parse-text.ts'
import { atOnce, type Run, type Sliced } from './slices.ts'

export { type LoadedConfig, parseConfigText } from './parse-text.ts'

export const MAX_FILE_BYTES = 16 * 1024 * 1024
const MAX_FILES = 10_000
const ATTEMPTS = 3
const HASHED_AT_ONCE = 1024 * 1024
/** Stands for what the file system would not tell. */
const UNKNOWN = 'unknown'

/** What was read of one file. */
interface KnownFile {
  /** Size, times and inode when it was read. */
  readonly identity: string
  readonly hash: string
  readonly loaded: LoadedConfig
}

/** Reads a config folder once. Files that cannot be read are problems; never throws. */
export function loadConfigFolder(folder: string): Promise<LoadedConfig> {
  return new ConfigFolder(folder, atOnce).load()
}

/**
 * A folder whose `.yaml`, `.yml` and `.json` files are read in the order of their names, symbolic links followed and
 * sub-folders and hidden files left alone.
 */
export class ConfigFolder {
  readonly #folder: string
  readonly #run: Run
  #known: ReadonlyMap<string, KnownFile> = new Map()

  constructor(folder: string, run: Run) {
    this.#folder = folder
    this.#run = run
  }

  /** A text that changes when a config file of the folder does, by size, times and inode; it costs no reading. */
  async fingerprint(): Promise<string> {
    try {
      return JSON.stringify([await this.#mountedVersion(), ...(await listConfigFiles(this.#folder))])
    } catch (error) {
      return `unreadable: ${messageOf(error)}`
    }
  }

  /**
   * Reads what has changed. A folder that Kubernetes mounts from a ConfigMap is read as a whole: when its `..data` link
   * is swapped meanwhile, reading starts again. Files that cannot be read are problems of code `UNREADABLE`; never throws.
   */
  async load(): Promise<LoadedConfig> {
    for (let attempt = 1; ; attempt++) {
      const before = await this.#mountedVersion()
      const loaded = await this.#read()
      if (attempt === ATTEMPTS || before === (await this.#mountedVersion())) return loaded
    }
  }

  async #read(): Promise<LoadedConfig> {
    const parts: LoadedConfig[] = []
    const known = new Map<string, KnownFile>()
    try {
      for (const [path, identity] of await listConfigFiles(this.#folder)) {
        const file = await this.#readFile(path, identity)
        if ('identity' in file) known.set(path, file)
        parts.push('identity' in file ? file.loaded : file)
      }
      if (parts.length === 0) {
        // An empty folder is far likelier a mount that failed than a wish to allow everything.
        parts.push(
          failedPart(this.#folder, 'empty-folder', 'the folder holds no config: no file .yaml, .yml or .json.'),
        )
      }
      this.#known = known
    } catch (error) {
      parts.push(failedPart(this.#folder, UNREADABLE, `the folder cannot be read: ${whyUnreadable(error)}`))
    }
    return joined(this.#folder, parts)
  }

  async #readFile(path: string, identity: string): Promise<KnownFile | LoadedConfig> {
    const known = this.#known.get(path)
    if (known !== undefined && known.identity === identity && identity !== UNKNOWN) return known
    let bytes: Buffer
    try {
      bytes = await readFile(path)
    } catch (error) {
      return failedPart(path, UNREADABLE, `the file cannot be read: ${messageOf(error)}`)
    }
    // Whoever writes a file in place empties it first: taken as it is then, it would lift all that it says.
    if (bytes.length === 0)
      return failedPart(
        path,
        UNREADABLE,
        'the file is empty: it is read again when something is in it, or take it away.',
      )
    if (bytes.length > MAX_FILE_BYTES)
      return failedPart(path, 'file-too-large', 'the file is larger than 16 MiB: split it.')
    const hash = await this.#run(hashing(bytes))
    if (known?.hash === hash) return { ...known, identity }
    let text: string
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch (error) {
      return failedPart(path, 'not-utf-8', `the file is not a text in UTF-8: ${messageOf(error)}`)
    }
    const loaded = { ...(await this.#run(parsing(path, text))), name: path, digest: digestOf([path, hash]) }
    return { identity, hash, loaded }
  }

  async #mountedVersion(): Promise<string | undefined> {
    return realpath(join(this.#folder, '..data')).catch(() => undefined)
  }
}

function whyUnreadable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return 'there is none of that name.'
  if (code === 'ENOTDIR') return 'it is a file; name the folder that it lies in.'
  return messageOf(error)
}

/** Paths and identities of the config files, by name. Rejects where the folder cannot be read. */
export async function listConfigFiles(folder: string): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.') && /\.(ya?ml|json)$/i.test(name))
  const files = new Map<string, string>()
  for (const name of names.toSorted().slice(0, MAX_FILES)) {
    const path = join(folder, name)
    try {
      const status = await stat(path, { bigint: true })
      if (!status.isFile()) continue
      files.set(path, `${status.size}:${status.mtimeNs}:${status.ctimeNs}:${status.ino}`)
    } catch {
      files.set(path, UNKNOWN)
    }
  }
  return files
}

function* hashing(bytes: Uint8Array): Sliced<string> {
  const hash = createHash('sha256')
  for (let at = 0; at < bytes.length; at += HASHED_AT_ONCE) {
    hash.update(bytes.subarray(at, at + HASHED_AT_ONCE))
    yield
  }
  return hash.digest('hex')
}
