// How jobs are added: once per id, tried several times, gone when done.

import { DEFAULT_EXPORT_LIMITS, type RetryLimits } from '../adapter-kit/exporter/limits.ts'
import { RETRY_JITTER } from '../adapter-kit/exporter/retry.ts'

// How long an id is remembered, so that a repeated add is recognised.
const DEDUPLICATION_MS = 3_600_000

/** Options of a job; adding another one with the same id within an hour does nothing. */
export function jobOptions(deduplicationId: string, retries: RetryLimits = DEFAULT_EXPORT_LIMITS.retries) {
  return {
    deduplication: { id: deduplicationId, ttl: DEDUPLICATION_MS },
    removeOnComplete: true,
    attempts: retries.attempts,
    backoff: { type: 'exponential', delay: retries.firstDelayMs, jitter: RETRY_JITTER },
  }
}
