// Requests that are refused for what they are, as answers.

import { IntermixError } from './errors.ts'
import { type Answer, NOT_JUDGED } from './verdict.ts'

/**
 * The answer for a request that cannot be judged because of what its client sent: a denial with INVALID_ARGUMENT, which is
 * 400 over HTTP. A failed call would meet the proxy's failure mode instead, and with "allow" the client would have its way.
 * @returns `undefined` for failures of our own, and of what the operator set.
 */
export function refusalAnswer(error: unknown): Answer | undefined {
  if (!(error instanceof IntermixError) || error.code !== 'INVALID_REQUEST') return undefined
  return { ...NOT_JUDGED, status: error.status }
}
