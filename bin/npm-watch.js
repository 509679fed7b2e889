// Notices that the npm which started this process has gone. npm runs a script through a shell and passes signals to that
// shell only; killed outright, it passes nothing. Node has no call for "tell me when my parent ends", so that is asked.
import { readFileSync } from 'node:fs'

const EVERY_MS = 500

/**
 * Calls back once when npm, npx or the shell between has ended; never where npm started nothing. The timer keeps no
 * process alive. A shell is seen through on Linux only.
 */
export function onNpmGone(callback) {
  if (process.env.npm_lifecycle_event === undefined) return
  const parent = process.ppid
  const above = shellParent(parent)
  const timer = setInterval(() => {
    if (process.ppid === parent && (above === undefined || shellParent(parent) === above)) return
    clearInterval(timer)
    callback()
  }, EVERY_MS)
  timer.unref()
}

/** The parent of `pid` where that is a shell with a command to run, as npm starts it. */
function shellParent(pid) {
  try {
    if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[1] !== '-c') return undefined
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in parentheses, may hold anything; state and parent follow it.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined
  }
}
