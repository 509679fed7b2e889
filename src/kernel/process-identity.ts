// Who a process is, among all that may ever use one folder, and whether it still lives. Where two ran in the same boot of the
// same machine and saw the same processes, number and start time tell exactly.

import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

/** A process, among all that may ever use a folder. */
export interface ProcessIdentity {
  /** Boot of the machine and namespace of process numbers, as letters and digits; `unknown` where the system does not tell. */
  readonly space: string
  readonly pid: number
  /** When it started, in the system's own count. */
  readonly started: string
}

const UNKNOWN = 'unknown'

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

/** Whether a process can be asked for by its number: it was in the same boot, and saw the same processes. */
export function isInSameSpace(one: string | undefined, { space }: ProcessIdentity): boolean {
  return one !== UNKNOWN && one === space
}

/** Whether a process of the same space has ended. Its number may have been given again, but not at the same time. */
export async function hasEnded(pid: number | string, started: string | undefined): Promise<boolean> {
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
