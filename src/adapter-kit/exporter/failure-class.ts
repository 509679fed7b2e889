// What the failure of a batch means for its further tries.

import { IntermixError } from '../../kernel/errors.ts'

/** `throttled`: the backend has said when it may be asked again. `too-large`: it may take the batch in pieces. */
export type FailureClass = 'permanent' | 'retryable' | 'throttled' | 'too-large'

const MAX_REASON = 1000

/** The class of what a handler threw. Errors of unknown kind may be passing ones. */
export function failureClass(error: unknown): FailureClass {
  if (!(error instanceof IntermixError)) return 'retryable'
  if (error.code === 'TOO_LARGE') return 'too-large'
  if (!error.retryable) return 'permanent'
  return error.retryAfterMs === undefined ? 'retryable' : 'throttled'
}

/** Whether a failure says that the backend is there and has looked at the batch. */
export function isAnswer(error: unknown): boolean {
  const kind = failureClass(error)
  return kind === 'permanent' || kind === 'too-large'
}

/** An error's text for a dead letter or a log, bounded in length. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, MAX_REASON)
}
