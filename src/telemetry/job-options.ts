// How jobs are added: once per id, gone when done. How long they are tried is for those who try to say.

// How long an id is remembered, so that a repeated add is recognised.
const DEDUPLICATION_MS = 3_600_000
// Before the next try after an error that nobody has judged.
const UNJUDGED_DELAY_MS = 5000

/** Options of a job; adding another one with the same id within an hour does nothing. */
export function jobOptions(deduplicationId: string) {
  return {
    deduplication: { id: deduplicationId, ttl: DEDUPLICATION_MS },
    removeOnComplete: true,
    attempts: Number.MAX_SAFE_INTEGER,
    backoff: { type: 'fixed', delay: UNJUDGED_DELAY_MS },
  }
}
