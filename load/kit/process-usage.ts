// What the operating system says that a process has used (Linux: /proc), children included.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** Clock ticks a second in which /proc counts, on every platform that Node runs on. */
const TICKS = 100

/** The process and what it has started, as far as that is running now. */
export function processTree(pid: number): readonly number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const parent = Number(statOf(Number(name))?.[1])
    children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const tree: number[] = []
  const wanted = [pid]
  for (let next = wanted.pop(); next !== undefined; next = wanted.pop()) {
    tree.push(next)
    wanted.push(...(children.get(next) ?? []))
  }
  return tree
}

/** User and system time of the processes so far, in seconds to a hundredth; a process that has ended counts as 0. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0
  for (const pid of pids) {
    const stat = statOf(pid)
    if (stat !== undefined) ticks += Number(stat[11]) + Number(stat[12])
  }
  return ticks / TICKS
}

/** Resident memory in bytes, now and at most, summed over the processes. */
export function memoryOf(pids: readonly number[]): { readonly now: number; readonly peak: number } {
  let [now, peak] = [0, 0]
  for (const pid of pids) {
    const text = contentOf(`/proc/${pid}/status`) ?? ''
    now += kibibytes(text, 'VmRSS')
    peak += kibibytes(text, 'VmHWM')
  }
  return { now: now * 1024, peak: peak * 1024 }
}

/** Resident memory of a process in bytes, and what it is of. */
export interface Memory {
  readonly rss: number
  /** Its own: heaps, stacks, and pages of files that it has written to. */
  readonly anonymous: number
  /** Pages of files, which all processes share that have them. */
  readonly files: number
  /** With each shared page as its part. */
  readonly proportional: number
}

export function memoryParts(pid: number): Memory {
  const status = contentOf(`/proc/${pid}/status`) ?? ''
  const rollup = contentOf(`/proc/${pid}/smaps_rollup`) ?? ''
  return {
    rss: kibibytes(status, 'VmRSS') * 1024,
    anonymous: kibibytes(status, 'RssAnon') * 1024,
    files: kibibytes(status, 'RssFile') * 1024,
    proportional: kibibytes(rollup, 'Pss') * 1024,
  }
}

/** Begins to look for the peak anew. Does nothing where the system does not let us. */
export function forgetPeak(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5')
    } catch {
      // Another user's process: its peak is that of its life.
    }
  }
}

function kibibytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0)
}

/** The fields of /proc/PID/stat from the state on: the name before it may hold anything. */
function statOf(pid: number): readonly string[] | undefined {
  const text = contentOf(`/proc/${pid}/stat`)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
