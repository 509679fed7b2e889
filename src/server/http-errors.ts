// What the HTTP server tells the operator of errors.

import type { IntermixError } from '../kernel/errors.ts'
import { callerError } from './failure-log.ts'

/** Hears of what kept a request from being answered; `request` says what it was. */
export type ErrorListener = (caught: unknown, peer: string | undefined, request: string) => void

/** Counts what was refused for what it is, and logs failures of our own. */
export function errorListener(
  logFailure: (caught: unknown, message: string) => void,
  refused: (error: IntermixError, peer: string | undefined) => void,
): ErrorListener {
  return (caught, peer, request) => {
    const error = callerError(caught)
    refused(error, peer)
    if (error.code === 'INTERNAL') logFailure(caught, `${request} failed`)
  }
}
