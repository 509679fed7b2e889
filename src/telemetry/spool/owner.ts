// Whose a folder of the disk spool is, and whether that process still lives: what the living write, nobody else reads.
//
// Node has no file locks. Where the owner ran in the same boot of the same machine and sees the same processes, its number
// and start time tell exactly. Elsewhere (another container, another machine on a shared volume) it counts as gone when its
// sign of life has not moved for a while, by the watcher's own clock.

import { readFileSync, readlinkSync } from 'node:fs'
import { readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../kernel/ports.ts'

/** A process, among all that may ever use the folder. */
export interface ProcessIdentity {
  /** Boot of the machine and namespace of process numbers; `undefined` where the system does not tell. */
  readonly space: string | undefined
  readonly pid: number
  /** When it started, in the system's own count. */
  readonly started: string | undefined
}

export const OWNER_FILE = 'owner'
const RELEASED = 'released\n'
/** A sign of life comes every so often, */
export const BEAT_MS = 2_000
/** and who has given none for so long, as seen from here, is gone. */
const SILENT_MS = 15_000

export function thisProcess(): ProcessIdentity {
  const pid = process.pid
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const space = `${boot} ${readlinkSync('/proc/self/ns/pid')}`
    return { space, pid, started: startOf(readFileSync('/proc/self/stat', 'utf8')) }
  } catch {
    return { space: undefined, pid, started: undefined }
  }
}

/** Says in a folder whose it is. */
export async function own(folder: string, identity: ProcessIdentity): Promise<void> {
  await writeFile(join(folder, OWNER_FILE), `${JSON.stringify(identity)}\n`, { mode: 0o600 })
}

/** Gives a folder away: whoever comes may take over what is in it. */
export async function disown(folder: string): Promise<void> {
  await writeFile(join(folder, OWNER_FILE), RELEASED, { mode: 0o600 })
}

/** Gives a sign of life. Rejects where the folder is no longer ours. */
export async function beat(folder: string, now: number): Promise<void> {
  await utimes(join(folder, OWNER_FILE), now / 1_000, now / 1_000)
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

  async isGone(folder: string): Promise<boolean> {
    const owner = await readOwner(folder)
    if (owner === RELEASED) return true
    const { space } = this.#identity
    if (owner?.space !== undefined && owner.space === space) return await hasEnded(owner)
    const path = owner === undefined ? folder : join(folder, OWNER_FILE)
    const sign = await stat(path).then(
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

async function readOwner(folder: string): Promise<ProcessIdentity | typeof RELEASED | undefined> {
  try {
    const text = await readFile(join(folder, OWNER_FILE), 'utf8')
    return text === RELEASED ? RELEASED : (JSON.parse(text) as ProcessIdentity)
  } catch {
    return undefined
  }
}

/** A process number may have been given again, but not at the same time. */
async function hasEnded({ pid, started }: ProcessIdentity): Promise<boolean> {
  try {
    return startOf(await readFile(`/proc/${pid}/stat`, 'utf8')) !== started
  } catch {
    return true
  }
}

/** Field 22 of `/proc/<pid>/stat`; the name in field 2 may hold anything, so counting begins behind it. */
function startOf(stat: string): string | undefined {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}
