// How jobs are added: once per id, gone when done. How long they are tried is for those who try to say.

// Before the next try after an error that nobody has judged.
const UNJUDGED_DELAY_MS = 5000

/**
 * Options of a job; adding another one with the same id does nothing while it is there. What is added again after that is
 * known to the ledger. A key for each job of an hour would take more memory than the jobs: 200 to 300 bytes each.
 * @param rememberMs also after it is done, for so long since it was added
 */
export function jobOptions(deduplicationId: string, rememberMs?: number) {
  return {
    deduplication: { id: deduplicationId, ...(rememberMs === undefined ? {} : { ttl: rememberMs }) },
    removeOnComplete: true,
    attempts: Number.MAX_SAFE_INTEGER,
    backoff: { type: 'fixed', delay: UNJUDGED_DELAY_MS },
  }
}
