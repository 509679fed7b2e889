// Counts the requests that a door refuses before any policy is asked, and tells the operator why.

import type { IntermixError } from '../kernel/errors.ts'
import { REQUESTS_REFUSED_TOTAL } from '../kernel/metrics/doors.ts'
import type { Clock, Counter, Logger, Meter } from '../kernel/ports.ts'
import { type RefusalReason, RefusedRequest } from '../kernel/refused-request.ts'
import { RequestProblems } from './json-error.ts'

interface RefusalOptions {
  readonly meter: Meter
  readonly log: Logger
  readonly clock: Clock
  /** As in the metrics of doors: `forward_auth`, `ext_authz`, … */
  readonly door: string
}

/** A line a reason in so many milliseconds: clients choose how often they are refused. */
const QUIET_MS = 10_000
const MAX_PROBLEM_LENGTH = 300

interface Tally {
  readonly counter: Counter
  openAt: number
  leftOut: number
}

/**
 * Hears of every failed call and takes up those that were refused (INVALID_REQUEST): a counter by door and reason, and a
 * line of log with what to do, at most one in ten seconds for each reason; the next one says how many were left out.
 * @returns a listener; `peer` is who asked.
 */
export function createRefusals(options: RefusalOptions): (error: IntermixError, peer: string | undefined) => void {
  const { meter, log, clock, door } = options
  const count = meter.counter(REQUESTS_REFUSED_TOTAL)
  const tallies = new Map<RefusalReason | 'invalid', Tally>()
  return (error, peer) => {
    if (error.code !== 'INVALID_REQUEST') return
    const { reason, advice } =
      error instanceof RefusedRequest ? error : { reason: 'invalid' as const, advice: undefined }
    let tally = tallies.get(reason)
    if (tally === undefined) {
      tally = { counter: count({ door, reason }), openAt: Number.NEGATIVE_INFINITY, leftOut: 0 }
      tallies.set(reason, tally)
    }
    tally.counter.add()
    const now = clock.monotonic()
    if (now < tally.openAt) {
      tally.leftOut += 1
      return
    }
    const { leftOut } = tally
    log.warn({ door, reason, peer, advice, leftOut }, `a request was refused: ${error.message}${problemOf(error)}`)
    tally.openAt = now + QUIET_MS
    tally.leftOut = 0
  }
}

/** The first of the problems that the caller was told of, bounded in length. */
function problemOf(error: IntermixError): string {
  const [first, ...others] = error instanceof RequestProblems ? error.problems : []
  if (first === undefined) return ''
  return (
    `: ${first.path}: ${first.message}`.slice(0, MAX_PROBLEM_LENGTH) +
    (others.length > 0 ? ` (and ${others.length} more)` : '')
  )
}
