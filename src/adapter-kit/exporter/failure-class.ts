// What the failure of a batch means for its further tries.

import { IntermixError } from '../../kernel/errors.ts'

/** `throttled`: the backend has said when it may be asked again. */
export type FailureClass = 'permanent' | 'retryable' | 'throttled'

const MAX_REASON = 1000

/** The class of what a handler threw. Errors of unknown kind may be passing ones. */
export function failureClass(error: unknown): FailureClass {
  if (!(error instanceof IntermixError)) return 'retryable'
  if (!error.retryable) return 'permanent'
  return error.retryAfterMs === undefined ? 'retryable' : 'throttled'
}

/** An error's text for a dead letter or a log, bounded in length. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, MAX_REASON)
}
