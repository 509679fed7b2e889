// Bounds what share of a processor a process may use, so that a machine of few cores can tell which process is the bottleneck.
// By the kernel's own scheduler, where its control groups may be written; else by stopping and continuing the process.

import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Short, so that a process that has used its share up is away for some milliseconds only; the kernel takes no less of a part. */
const PERIOD_US = 20_000
const LEAST_QUOTA_US = 1_000
const ROOT = '/sys/fs/cgroup'

export interface Bounded {
  /** By what: to be told beside the figures. */
  readonly how: 'cgroup v2' | 'cgroup v1' | 'stopping and continuing'
  /** Ends the bound. */
  release(): void
}

let serial = 0

/** @param share of one core, such as 0.1 */
export function boundProcessor(pid: number, share: number): Bounded {
  const name = `intermix-load-${process.pid}-${++serial}`
  const quota = Math.max(LEAST_QUOTA_US, Math.round(share * PERIOD_US))
  const period = Math.round(quota / share)
  const v2 = existsSync(join(ROOT, 'cgroup.controllers'))
  try {
    const folder = v2 ? join(ROOT, name) : join(ROOT, 'cpu', name)
    mkdirSync(folder)
    if (v2) writeFileSync(join(folder, 'cpu.max'), `${quota} ${period}`)
    else {
      writeFileSync(join(folder, 'cpu.cfs_period_us'), String(period))
      writeFileSync(join(folder, 'cpu.cfs_quota_us'), String(quota))
    }
    writeFileSync(join(folder, 'cgroup.procs'), String(pid))
    return { how: v2 ? 'cgroup v2' : 'cgroup v1', release: () => leave(folder, pid) }
  } catch {
    return dutyCycle(pid, share)
  }
}

/** The group is removed once nobody is in it. */
function leave(folder: string, pid: number): void {
  try {
    writeFileSync(join(folder, '..', 'cgroup.procs'), String(pid))
  } catch {
    // It has ended.
  }
  try {
    rmdirSync(folder)
  } catch {
    // Its end is being noticed; an empty group costs nothing.
  }
}

/** Rougher: what runs is at the mercy of this process's own timers, and of how much it gets to do in its part of a period. */
function dutyCycle(pid: number, share: number): Bounded {
  const [runMs, restMs] = [Math.max(1, 20 * share), Math.max(1, 20 * (1 - share))]
  let timer: NodeJS.Timeout | undefined
  const turn = (runs: boolean) => {
    try {
      process.kill(pid, runs ? 'SIGCONT' : 'SIGSTOP')
      timer = setTimeout(() => turn(!runs), runs ? runMs : restMs)
    } catch {
      // It has ended.
    }
  }
  turn(false)
  return {
    how: 'stopping and continuing',
    release() {
      clearTimeout(timer)
      try {
        process.kill(pid, 'SIGCONT')
      } catch {
        // It has ended.
      }
    },
  }
}
