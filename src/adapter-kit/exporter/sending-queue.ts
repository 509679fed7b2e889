// The queue stage as a port: where batches wait for their tries, in this process (`memory-queue.ts`) or in Redis.

/** What is known of a batch when it gets a try. */
export interface Attempt {
  /** Tries that failed before this one. */
  readonly before: number
  /** Milliseconds since it was first queued; a replay of a dead letter is queued anew. */
  readonly ageMs: number
  /** Whether it was given out before, and nothing was heard of it: it may have been delivered. */
  readonly takenOver: boolean
}

/** The queue gives the batch again, no sooner than that, and until `pauseMs` have passed it gives no other one either. */
export interface Again {
  readonly kind: 'again'
  readonly afterMs: number
  readonly pauseMs?: number
  readonly error: unknown
}

/** The queue gives nothing until then, and this batch next. */
export interface Hold {
  readonly kind: 'hold'
  readonly afterMs: number
  readonly error: unknown
}

/** No further try: `refused` for good, `failed` for too long, or there is `no-handler` for it. */
export interface Ended {
  readonly kind: 'ended'
  readonly why: 'refused' | 'failed' | 'no-handler'
  readonly error: unknown
}

/** The batch has become several ones, each under an id of its own. */
export interface Part<B> {
  readonly kind: 'part'
  /** How many of its instances were delivered. */
  readonly delivered: number
  /** What gets no further try. */
  readonly ended: readonly { readonly batch: B; readonly outcome: Ended }[]
  /** What comes right after the rest. */
  readonly more: readonly B[]
  /** What takes the place of the batch; it may be empty. */
  readonly rest: B
  /** When the rest is given again. Default: at once. */
  readonly next?: Again | Hold
  /**
   * Set where the parts are in a ledger: what a queue keeps in place of the batch until it has counted the parts, ended
   * some and added others; given again, after a crash, it has the queue do that once more.
   */
  readonly ledger?: { readonly note: B; count(): Promise<void> }
}

/** What became of one try of a batch. */
export type Outcome<B> = { readonly kind: 'delivered' } | Again | Hold | Ended | Part<B>

/**
 * What a queue gives its batches to. It accounts for what is delivered; what has ended is the queue's to account for. A
 * rejection means that this could not be done: the queue gives the batch again, as taken over.
 */
export type Consume<B> = (batch: B, attempt: Attempt) => Promise<Outcome<B>>

/** Where batches for one handler wait, each for its next try. */
export interface SendingQueue<B> {
  /** Whether there was room; what is added again with the same id, where there are ids, is there once. */
  add(batch: B): Promise<boolean>
}
