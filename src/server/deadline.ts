// How long a caller waits, from the deadline of its call.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'

/** What is kept back for the way home, so that an answer arrives before the caller has gone. */
const MARGIN_MS = 5
/** Nobody waits longer: a deadline beyond it is as good as none. */
export const MAX_TIMEOUT_MS = 60_000

/**
 * Milliseconds in which an answer is of use, at least 0.
 * @param deadline milliseconds since the epoch; infinite where the caller set none.
 */
export function timeoutOf(deadline: number, clock: Pick<Clock, 'now'>, defaultMs: number): number {
  if (deadline === Number.POSITIVE_INFINITY) return defaultMs
  return Math.max(0, Math.min(MAX_TIMEOUT_MS, deadline - clock.now() - MARGIN_MS))
}

/**
 * The same for a call that is not to be begun where no time is left.
 * @throws IntermixError DEADLINE_EXCEEDED
 */
export function timeLeft(deadline: number, clock: Pick<Clock, 'now'>, defaultMs: number): number {
  const timeoutMs = timeoutOf(deadline, clock, defaultMs)
  if (timeoutMs > 0) return timeoutMs
  throw new IntermixError('DEADLINE_EXCEEDED', 'the deadline has passed before the call began')
}
