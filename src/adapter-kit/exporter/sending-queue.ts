// The queue stage as a port: where batches wait for their tries, in this process (`memory-queue.ts`) or in Redis.

/** What became of one try of a batch. */
export type Outcome =
  | { readonly kind: 'delivered' }
  /** The queue gives it again, no sooner than that. */
  | { readonly kind: 'again'; readonly afterMs: number; readonly error: unknown }
  /** No further try: `refused` for good, `failed` too often, or there is `no-handler` for it. */
  | { readonly kind: 'ended'; readonly why: 'refused' | 'failed' | 'no-handler'; readonly error: unknown }

/**
 * What a queue gives its batches to: `before` is how many tries failed before this one. It accounts for what is delivered;
 * what has ended is the queue's to account for. A rejection means that this could not be done.
 */
export type Consume<B> = (batch: B, before: number) => Promise<Outcome>

/** Where batches for one handler wait, each for its next try. */
export interface SendingQueue<B> {
  /** Whether there was room; what is added again with the same id, where there are ids, is there once. */
  add(batch: B): Promise<boolean>
}
