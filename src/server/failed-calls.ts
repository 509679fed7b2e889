// How calls of a door fail whose callers are told by the status: counted as refused or as answered, logged where the fault is
// ours, and told in a text that fits a header.

import type { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Meter } from '../kernel/ports.ts'
import type { DoorMetrics } from './door-metrics.ts'
import { callerError, createFailureLog } from './failure-log.ts'
import { GrpcFailure } from './grpc-service.ts'
import { createRefusals } from './refusals.ts'

export interface FailedCallsOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly door: string
  readonly metrics: DoorMetrics
  /** What the log says where the fault is ours. */
  readonly message: string
}

/** A header carries the message: bounded, and without halves of surrogate pairs. */
const MAX_DETAILS = 1_000

export function failureOf({ status }: IntermixError): GrpcFailure {
  return new GrpcFailure(status.code, status.message.slice(0, MAX_DETAILS).toWellFormed())
}

/** @returns what makes a failure of anything caught, of a call that began at `startedAt` on the monotonic clock */
export function createFailedCalls(
  options: FailedCallsOptions,
): (caught: unknown, startedAt: number, peer: string) => GrpcFailure {
  const { metrics, message } = options
  const refused = createRefusals(options)
  const logFailure = createFailureLog(options)
  return (caught, startedAt, peer) => {
    const error = callerError(caught)
    refused(error, peer)
    if (error.code === 'INTERNAL') logFailure(caught, message)
    metrics.finished(error.status.code, startedAt)
    return failureOf(error)
  }
}
