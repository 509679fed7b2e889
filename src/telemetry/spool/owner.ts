// Whose a folder of the disk spool is, and whether that process still lives: what the living write, nobody else reads.
//
// Node has no file locks. A folder's name says whose it is, which needs no room on a full disk. Where its owner ran in the
// same boot of the same machine and saw the same processes, its number and start time tell exactly. Elsewhere (another
// container, another machine on a shared volume) it counts as gone when its sign of life, the folder's time of change, has
// not moved for a while, by the watcher's own clock.

import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Clock } from '../../kernel/ports.ts'

/** A process, among all that may ever use the folder. */
export interface ProcessIdentity {
  /** Boot of the machine and namespace of process numbers, as letters and digits; `unknown` where the system does not tell. */
  readonly space: string
  readonly pid: number
  /** When it started, in the system's own count. */
  readonly started: string
}

const UNKNOWN = 'unknown'
const RELEASED = 'released'
const OWNER = /@(?:(released)|([A-Za-z0-9]+)\.(\d+)\.(\d+))$/
/** A sign of life comes every so often, */
export const BEAT_MS = 2_000
/** and who has given none for so long, as seen from here, is gone. */
const SILENT_MS = 15_000

export function thisProcess(): ProcessIdentity {
  const { pid } = process
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const hash = createHash('sha256').update(`${boot} ${readlinkSync('/proc/self/ns/pid')}`)
    return { space: hash.digest('hex').slice(0, 16), pid, started: startOf(readFileSync('/proc/self/stat', 'utf8')) }
  } catch {
    return { space: UNKNOWN, pid, started: '0' }
  }
}

/** The name of a folder that is a process's own. */
export function ownedName(name: string, { space, pid, started }: ProcessIdentity): string {
  return `${name}@${space}.${pid}.${started}`
}

/** The name of the same folder for whoever comes: its process is done with it. */
export function releasedName(folder: string): string {
  return folder.replace(OWNER, `@${RELEASED}`)
}

/** Tells which folders' owners are gone. It remembers the signs of life that it has seen. */
export class OwnerWatch {
  readonly #identity: ProcessIdentity
  readonly #clock: Clock
  readonly #seen = new Map<string, { readonly sign: number; readonly at: number }>()

  constructor(identity: ProcessIdentity, clock: Clock) {
    this.#identity = identity
    this.#clock = clock
  }

  /** A folder that is none of a spool has no owner who could be gone. */
  async isGone(folder: string): Promise<boolean> {
    const [isOfSpool, released, space, pid = '', started] = OWNER.exec(basename(folder)) ?? []
    if (isOfSpool === undefined) return false
    if (released !== undefined) return true
    if (space !== UNKNOWN && space === this.#identity.space) return await hasEnded(pid, started)
    const sign = await stat(folder).then(
      ({ mtimeMs }) => mtimeMs,
      () => undefined,
    )
    if (sign === undefined) return false
    const now = this.#clock.monotonic()
    const seen = this.#seen.get(folder)
    if (seen?.sign === sign) return now - seen.at >= SILENT_MS
    this.#seen.set(folder, { sign, at: now })
    return false
  }

  /** Forgets all folders but these. */
  keep(folders: ReadonlySet<string>): void {
    for (const folder of this.#seen.keys()) if (!folders.has(folder)) this.#seen.delete(folder)
  }
}

/** A process number may have been given again, but not at the same time. */
async function hasEnded(pid: string, started: string | undefined): Promise<boolean> {
  try {
    return startOf(await readFile(`/proc/${pid}/stat`, 'utf8')) !== started
  } catch {
    return true
  }
}

/** Field 22 of `/proc/<pid>/stat`; the name in field 2 may hold anything, so counting begins behind it. */
function startOf(text: string): string {
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}
