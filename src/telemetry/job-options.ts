// How jobs are added: once per id, tried several times, gone when done.

import { DEFAULT_RETRIES, type Retries, RETRY_JITTER } from './call-handler.ts'

// How long an id is remembered, so that a repeated add is recognised.
const DEDUPLICATION_MS = 3_600_000

/** Options of a job; adding another one with the same id within an hour does nothing. */
export function jobOptions(deduplicationId: string, retries: Retries = DEFAULT_RETRIES) {
  return {
    deduplication: { id: deduplicationId, ttl: DEDUPLICATION_MS },
    removeOnComplete: true,
    attempts: retries.attempts,
    backoff: { type: 'exponential', delay: retries.firstDelayMs, jitter: RETRY_JITTER },
  }
}
