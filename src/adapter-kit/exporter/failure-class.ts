// What the failure of a batch means for its further tries.

import { IntermixError } from '../../kernel/errors.ts'

/** `throttled`: the backend has said when it may be asked again. `too-large`: it may take the batch in pieces. */
export type FailureClass = 'permanent' | 'retryable' | 'throttled' | 'too-large'

const MAX_REASON = 1000
/** What the engine throws, mostly at a mistake in an adapter: its text alone (`x is not a function`) leads nobody there. */
const MISTAKES = [TypeError, SyntaxError, ReferenceError, RangeError]
/** A line of a stack that names a file. */
const IN_A_MODULE = /^\s+at .*file:\/\//

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

/** An error's text for a dead letter or a log, bounded in length; of what the engine throws, with where in a module that was. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error).slice(0, MAX_REASON)
  const isOurs = MISTAKES.some((mistake) => error instanceof mistake)
  const place = isOurs ? error.stack?.split('\n').find((line) => IN_A_MODULE.test(line)) : undefined
  const text = error.message.slice(0, MAX_REASON)
  return place === undefined ? text : `${error.name}: ${text} (${place.trim()})`
}
