// When Redis cannot do what it is asked through no fault of the asker: nothing is learned of the data in hand then.

import { causesOf, IntermixError } from '../kernel/errors.ts'

/** `full`: it takes no writes for lack of memory. `away`: out of reach, starting, a replica, unable to keep what it takes, or not for this user. */
export type RedisTrouble = 'full' | 'away'

// Scripts of older servers put the error of a command inside one of their own.
const FULL = /\bOOM command not allowed\b/
const AWAY = /\b(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|NOREPLICAS|NOAUTH|UNBLOCKED)\b|^MOVED \d/
// Inside a script, servers differ in how they say it.
const FORBIDDEN = /\bNOPERM\b|ACL failure in script|user executing the script can't/i

/** The trouble that an error, or what caused it, tells of; `undefined` for every other failure. */
export function redisTrouble(error: unknown): RedisTrouble | undefined {
  for (const each of causesOf(error)) {
    if (each instanceof IntermixError) {
      if (each.code === 'REDIS_UNAVAILABLE') return 'away'
    } else if (each.name === 'ReplyError') {
      if (isFull(each)) return 'full'
      if (isAway(each) || isForbidden(each)) return 'away'
    }
  }
  return undefined
}

/** Whether a reply says that the server cannot be used now; a connection to another one may help. */
export function isAway(reply: Error): boolean {
  return AWAY.test(reply.message)
}

/** Whether a reply says that there is no memory for a write. */
export function isFull(reply: Error): boolean {
  return FULL.test(reply.message)
}

/** Whether a reply says that the user lacks a right. */
export function isForbidden(reply: Error): boolean {
  return FORBIDDEN.test(reply.message)
}

/**
 * A failure for operators, with why Redis cannot be used: callers do not get to see where it is and who signs in there.
 * @param link on which it failed
 */
export function withReason(error: unknown, link: { reason(): string | undefined }): IntermixError {
  const failure = IntermixError.from(error)
  const reason = failure.code === 'REDIS_UNAVAILABLE' ? link.reason() : undefined
  if (reason === undefined) return failure
  return new IntermixError(failure.code, `${failure.message}: ${reason}`, { cause: error })
}
