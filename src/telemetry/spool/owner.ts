// Whose a folder of the disk spool is, and whether that process still lives: what the living write, nobody else reads.
//
// Node has no file locks. A folder's name says whose it is, which needs no room on a full disk. Where its owner ran in the
// same boot of the same machine and saw the same processes, its number and start time tell exactly. Elsewhere (another
// container, another machine on a shared volume) it counts as gone when its sign of life, the folder's time of change, has
// not moved for a while, by the watcher's own clock.

import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Clock } from '../../kernel/ports.ts'
import { hasEnded, isInSameSpace, type ProcessIdentity } from '../../kernel/process-identity.ts'

const RELEASED = 'released'
const OWNER = /@(?:(released)|([A-Za-z0-9]+)\.(\d+)\.(\d+))$/
/** A sign of life comes every so often, */
export const BEAT_MS = 2_000
/** and who has given none for so long, as seen from here, is gone. */
const SILENT_MS = 15_000

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
    if (isInSameSpace(space, this.#identity)) return await hasEnded(pid, started)
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
