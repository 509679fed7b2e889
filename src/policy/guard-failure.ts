// What an adapter threw, as the few errors that leave a guard.

import { type ErrorCode, IntermixError } from '../kernel/errors.ts'
import type { CallOutcome } from './circuit-breaker.ts'

const PASSED_ON: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'BACKEND_FAILED',
  'BACKEND_REFUSED',
  'REDIS_UNAVAILABLE',
  'DEADLINE_EXCEEDED',
  'OVERLOADED',
  'CANCELLED',
])

/** Anything thrown, as an error that a guard may throw. What an adapter's bug says is kept for logs, not for callers. */
export function failureOf(error: unknown, handler: string): IntermixError {
  if (!(error instanceof IntermixError)) {
    return new IntermixError('BACKEND_FAILED', `${handler} failed unexpectedly`, { cause: error })
  }
  if (PASSED_ON.has(error.code)) return error
  return new IntermixError('BACKEND_FAILED', error.message, { cause: error, backend: error.backend })
}

/** What a failure says about the backend. One that refuses a request as wrong is alive and well. */
export function outcomeOf(error: IntermixError): CallOutcome {
  if (error.code === 'BACKEND_REFUSED') return 'success'
  if (error.code === 'CANCELLED' || error.backend === 'unheard' || error.backend === 'unasked') return 'neutral'
  return error.backend === 'answered' || error.code === 'OVERLOADED' ? 'error' : 'silent'
}

/** The same failure, said of a call that this process could not listen to. */
export function unheard(error: IntermixError): IntermixError {
  return new IntermixError(error.code, error.message, { cause: error, backend: 'unheard' })
}

/** Whether another attempt may mend a failure: not where time is up or where the backend has too much to do. */
export function isWorthRetrying(error: IntermixError): boolean {
  return error.retryable && (error.code === 'BACKEND_FAILED' || error.code === 'REDIS_UNAVAILABLE')
}
