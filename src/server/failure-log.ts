// Logs failures of our own without letting a failing request path flood the log.

import { IntermixError, messageOf } from '../kernel/errors.ts'
import type { Clock, Logger } from '../kernel/ports.ts'

/** At most one line each `everyMs`; the next one says how many were left out. */
export function createFailureLog(options: {
  readonly log: Logger
  readonly clock: Clock
  readonly everyMs?: number
  /** `error` unless set; a `warn` is about others, so that it has the reason and no stack. */
  readonly level?: 'warn' | 'error'
}): (caught: unknown, message: string) => void {
  const { log, clock, everyMs = 1_000, level = 'error' } = options
  let openAt = Number.NEGATIVE_INFINITY
  let leftOut = 0
  return (caught, message) => {
    const now = clock.monotonic()
    if (now < openAt) {
      leftOut += 1
      return
    }
    const what = level === 'error' ? { err: caught } : { reason: messageOf(caught) }
    log[level]({ ...what, leftOut }, message)
    openAt = now + everyMs
    leftOut = 0
  }
}

/** What a caller gets to hear of anything caught: expected failures as they are, of bugs no more than that there is one. */
export function callerError(caught: unknown): IntermixError {
  if (caught instanceof IntermixError) return caught
  return new IntermixError('INTERNAL', 'internal error', { cause: caught })
}
